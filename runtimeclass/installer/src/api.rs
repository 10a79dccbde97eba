//! One request to the API server, as a pod may make it (Kubernetes, "Accessing the Kubernetes API from a Pod").

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig, parse_pem};

use crate::{Result, patch};

/// Where the kubelet puts token and certificate, unless SERVICE_ACCOUNT_DIR says otherwise.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const PATIENCE: Duration = Duration::from_secs(20);

/// The node of this pod, at the API server.
pub struct Node {
    agent: Agent,
    url: String,
    token: PathBuf,
}

impl Node {
    /// From what every container of a cluster is told.
    pub fn in_cluster(name: &str) -> Result<Node> {
        let says = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set: this is no pod"));
        let (host, port) = (says("KUBERNETES_SERVICE_HOST")?, says("KUBERNETES_SERVICE_PORT")?);
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        if !name.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c)) || name.is_empty() {
            return Err(format!("{name:?} is no name of a node").into());
        }
        let dir = std::env::var("SERVICE_ACCOUNT_DIR").unwrap_or_else(|_| SERVICE_ACCOUNT.to_owned());
        let certificate = Path::new(&dir).join("ca.crt");
        Ok(Node {
            agent: agent(&certificate)?,
            url: format!("https://{host}:{port}/api/v1/nodes/{name}"),
            token: Path::new(&dir).join("token"),
        })
    }

    /// Changes its labels; others stay.
    pub fn label(&self, labels: &Map<String, Value>) -> Result<()> {
        // Read each time, for it is replaced every hour.
        let token = std::fs::read_to_string(&self.token)?;
        let mut answer = self
            .agent
            .patch(&self.url)
            .header("Authorization", format!("Bearer {}", token.trim()))
            .header("Content-Type", "application/merge-patch+json")
            .send(patch(labels).to_string())
            .map_err(|error| format!("cannot label the node at {}: {error}", self.url))?;
        if answer.status().is_success() {
            return Ok(());
        }
        let text = answer.body_mut().read_to_string().unwrap_or_default();
        let status: Value = serde_json::from_str(&text).unwrap_or_default();
        let why = status["message"].as_str().unwrap_or(&text);
        Err(format!("cannot label the node at {}: {}: {why}", self.url, answer.status()).into())
    }
}

/// Trusts the cluster's certificate and no other.
fn agent(certificate: &Path) -> Result<Agent> {
    let pem = std::fs::read(certificate)
        .map_err(|error| format!("cannot read {}: {error}", certificate.display()))?;
    let certificates = parse_pem(&pem).filter_map(|item| match item {
        Ok(ureq::tls::PemItem::Certificate(certificate)) => Some(Ok(certificate)),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    });
    let certificates = certificates.collect::<std::result::Result<Vec<_>, _>>()?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&certificates))
        .unversioned_rustls_crypto_provider(provider)
        .build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .timeout_global(Some(PATIENCE))
        .http_status_as_error(false)
        .proxy(None)
        .build();
    Ok(config.into())
}
