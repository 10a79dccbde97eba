"""What a cluster would say of manifests, without one.

    cluster.py load FILE...           the documents of YAML files
    cluster.py schemas VERSION        which of the documents on standard input are not of the form of this Kubernetes
    cluster.py admit FILE...          what the admission policies in these files say of the requests on standard input

Answers are JSON on standard output. A request is what an AdmissionReview has: operation, resource, object, oldObject,
name, namespace (its labels), userInfo; for policies whose parameters are pods, also those of the namespace.
"""

import json
import sys

import yaml


def load(paths):
    documents = []
    for path in paths:
        with open(path, encoding="utf-8") as file:
            documents += [document for document in yaml.safe_load_all(file) if document]
    return documents


def schemas(version, documents):
    import kubernetes_validate

    complaints = []
    for document in documents:
        what = f"{document.get('kind')} {document.get('metadata', {}).get('name')}"
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            complaints.append(f"{what}: {'.'.join(map(str, error.path))}: {error.message}")
        except kubernetes_validate.SchemaNotFoundError as error:
            complaints.append(f"{what}: {error.message}")
    return complaints


class Policy:
    """A ValidatingAdmissionPolicy with its bindings, evaluated as the API server does."""

    # Names that expressions may use, of no type that is known, as they are for policies that match several kinds.
    NAMES = ["object", "oldObject", "request", "params", "namespaceObject", "variables"]

    def __init__(self, policy, bindings):
        from cel_expr_python import cel
        from cel_expr_python.ext import ext_optional, ext_strings

        self.name = policy["metadata"]["name"]
        self.spec = policy["spec"]
        self.bindings = [binding["spec"] for binding in bindings if binding["spec"]["policyName"] == self.name]
        libraries = [ext_optional.ExtOptional(), ext_strings.ExtStrings()]
        self.cel = cel
        self.environment = cel.NewEnv(variables={name: cel.Type.DYN for name in self.NAMES}, extensions=libraries)
        self.conditions = [
            self.compile(condition["expression"], cel.Type.BOOL) for condition in self.spec.get("matchConditions", [])
        ]
        self.variables = [
            (variable["name"], self.compile(variable["expression"])) for variable in self.spec.get("variables", [])
        ]
        self.validations = [
            (
                self.compile(validation["expression"], cel.Type.BOOL),
                validation.get("message", "failed expression: " + validation["expression"]),
                self.compile(validation["messageExpression"], cel.Type.STRING)
                if "messageExpression" in validation
                else None,
            )
            for validation in self.spec["validations"]
        ]

    def compile(self, expression, kind=None):
        try:
            compiled = self.environment.compile(expression)
        except Exception as error:
            raise SystemExit(f"policy {self.name}: {expression}\n{error}")
        # The API server takes no other type, and none that shows only when it is evaluated.
        if kind is not None and compiled.return_type() != kind:
            raise SystemExit(f"policy {self.name}: {expression}\nis {compiled.return_type().name()}, not {kind.name()}")
        return compiled

    def evaluate(self, compiled, names):
        value = compiled.eval(data=names)
        if value.type() == self.cel.Type.ERROR:
            raise ValueError(value.plain_value())
        return value.plain_value()

    def matches(self, request):
        return any(
            request["operation"] in rule["operations"]
            and request["resource"] in rule["resources"]
            and request["group"] in rule["apiGroups"]
            for rule in self.spec["matchConstraints"]["resourceRules"]
        )

    def judge(self, request):
        """Each refusal: the policy, the number of its validation, the message."""
        if not self.matches(request):
            return []
        return [
            refusal
            for binding in self.bindings
            if selects(binding.get("matchResources", {}).get("namespaceSelector"), request.get("namespace"))
            and "Deny" in binding["validationActions"]
            for refusal in self.judge_bound(binding, request)
        ]

    def judge_bound(self, binding, request):
        names = {
            "object": request.get("object"),
            "oldObject": request.get("oldObject"),
            "request": attributes(request),
            "namespaceObject": {"metadata": {"name": "test", "labels": request.get("namespace") or {}}},
        }
        try:
            if not all(self.evaluate(condition, names) for condition in self.conditions):
                return []
        except Exception as error:
            return self.failed(None, error)
        if "paramKind" not in self.spec:
            return self.validate(names)
        pods = [pod for pod in request.get("pods", []) if selects(binding["paramRef"]["selector"], labels(pod))]
        if not pods and binding["paramRef"]["parameterNotFoundAction"] == "Deny":
            return [[self.name, None, "no params found"]]
        return [refusal for pod in pods for refusal in self.validate({**names, "params": pod})]

    def validate(self, names):
        # One that cannot be evaluated is missed by who uses it, and by nobody else.
        variables = {}
        for name, compiled in self.variables:
            try:
                variables[name] = self.evaluate(compiled, {**names, "variables": variables})
            except Exception as error:
                print(f"{self.name}: variable {name}: {error}", file=sys.stderr)
        names = {**names, "variables": variables}
        refusals = []
        for number, (expression, message, message_expression) in enumerate(self.validations):
            try:
                if self.evaluate(expression, names) is True:
                    continue
                if message_expression is not None:
                    message = self.evaluate(message_expression, names)
            except Exception as error:
                refusals += self.failed(number, error)
                continue
            refusals.append([self.name, number, message])
        return refusals

    def failed(self, number, error):
        assert self.spec["failurePolicy"] == "Fail", self.name
        return [[self.name, number, f"cannot be evaluated: {error}"]]


def attributes(request):
    resource, _, subresource = request["resource"].partition("/")
    known = {"operation", "name", "userInfo"}
    return {
        **{key: value for key, value in request.items() if key in known},
        "kind": {"kind": (request.get("object") or {}).get("kind", "")},
        "resource": {"resource": resource},
        "subResource": subresource,
        "namespace": "test",
    }


def labels(thing):
    return thing.get("metadata", {}).get("labels", {})


def selects(selector, found):
    if not selector:
        return True
    found = found or {}
    operators = {"Exists": lambda key: key in found, "DoesNotExist": lambda key: key not in found}
    return all(found.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        operators[rule["operator"]](rule["key"]) for rule in selector.get("matchExpressions", [])
    )


def admit(documents, requests):
    kind = "ValidatingAdmissionPolicy"
    bindings = [document for document in documents if document["kind"] == kind + "Binding"]
    policies = [Policy(document, bindings) for document in documents if document["kind"] == kind]
    return [[refusal for policy in policies for refusal in policy.judge(request)] for request in requests]


def main(verb, arguments):
    answer = {
        "load": lambda: load(arguments),
        "schemas": lambda: schemas(arguments[0], json.load(sys.stdin)),
        "admit": lambda: admit(load(arguments), json.load(sys.stdin)),
    }[verb]()
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
