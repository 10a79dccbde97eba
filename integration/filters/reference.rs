//! A profile as its JSON says it (runtime-spec, config-linux.md, "seccomp"; what that leaves open, as runc reads it): rule
//! by rule, without any of the code that compiles profiles.

use std::collections::HashMap;

use sandrun::plan::seccomp::names::Abi;
use serde_json::Value;

use super::program::Call;

/// `SECCOMP_RET_ERRNO` with ENOSYS.
pub const ENOSYS: u32 = 0x0005_0026;

pub struct Reference {
    readings: Vec<Reading>,
    default: u32,
    /// The answer to calls above the newest that the profile names.
    newer: u32,
    /// The answer to ABIs that it does not list.
    foreign: u32,
}

/// The rules of one ABI, by number, each in the order of the profile.
struct Reading {
    abi: Abi,
    rules: HashMap<u32, Vec<Rule>>,
    newest: u32,
}

struct Rule {
    answer: u32,
    args: Vec<Arg>,
}

struct Arg {
    index: usize,
    operator: String,
    value: u64,
    second: u64,
}

impl Reference {
    pub fn new(json: &Value, foreign: u32) -> Reference {
        let listed = |name: &str| json["architectures"].as_array().unwrap().iter().any(|arch| arch == name);
        let mut abis = vec![Abi::X86_64];
        abis.extend(listed("SCMP_ARCH_X32").then_some(Abi::X32));
        abis.extend(listed("SCMP_ARCH_X86").then_some(Abi::X86));
        let default = answer(&json["defaultAction"], &json["defaultErrnoRet"]);
        let refuses = json["defaultAction"] == "SCMP_ACT_ERRNO";
        Reference {
            readings: abis.into_iter().map(|abi| Reading::new(json, abi)).collect(),
            default,
            newer: if refuses { ENOSYS } else { default },
            foreign,
        }
    }

    pub fn answer(&self, call: &Call) -> u32 {
        let x86 = call.arch == 0xc000_003e;
        if x86 && call.number == u32::MAX {
            return self.newer; // The number that a tracer leaves behind to skip a call.
        }
        let abi = match call.arch {
            0xc000_003e if call.number >= 0x4000_0000 => Abi::X32,
            0xc000_003e => Abi::X86_64,
            0x4000_0003 => Abi::X86,
            _ => return self.foreign,
        };
        let Some(reading) = self.readings.iter().find(|reading| reading.abi == abi) else {
            return self.foreign;
        };
        match reading.rules.get(&call.number) {
            Some(rules) => {
                rules.iter().find(|rule| rule.applies(&call.args)).map_or(self.default, |rule| rule.answer)
            }
            None if call.number > reading.newest => self.newer,
            None => self.default,
        }
    }
}

impl Reading {
    fn new(json: &Value, abi: Abi) -> Reading {
        let mut rules: HashMap<u32, Vec<Rule>> = HashMap::new();
        for rule in json["syscalls"].as_array().unwrap() {
            for name in rule["names"].as_array().unwrap() {
                let Some(number) = abi.number(name.as_str().unwrap()) else { continue };
                rules.entry(number).or_default().push(Rule::new(rule));
            }
        }
        // The numbers that x32 has for itself are not the newest, although they are the highest.
        let in_order = rules.keys().filter(|number| !(512..548).contains(&(**number & 0xffff)));
        let newest = *in_order.max().unwrap();
        Reading { abi, rules, newest }
    }
}

impl Rule {
    fn new(json: &Value) -> Rule {
        let args = json["args"].as_array().map_or(&[][..], Vec::as_slice);
        let read = |arg: &Value| Arg {
            index: arg["index"].as_u64().unwrap() as usize,
            operator: arg["op"].as_str().unwrap().to_owned(),
            value: arg["value"].as_u64().unwrap(),
            second: arg["valueTwo"].as_u64().unwrap_or(0),
        };
        Rule { answer: answer(&json["action"], &json["errnoRet"]), args: args.iter().map(read).collect() }
    }

    /// All conditions must hold, unless two are about the same argument: then one of them.
    fn applies(&self, args: &[u64; 6]) -> bool {
        let mut conditions = self.args.iter().map(|arg| arg.holds(args[arg.index]));
        let twice =
            |(place, arg): (usize, &Arg)| self.args[..place].iter().any(|other| other.index == arg.index);
        if self.args.iter().enumerate().any(twice) {
            conditions.any(|holds| holds)
        } else {
            conditions.all(|holds| holds)
        }
    }
}

impl Arg {
    fn holds(&self, argument: u64) -> bool {
        match self.operator.as_str() {
            "SCMP_CMP_EQ" => argument == self.value,
            "SCMP_CMP_NE" => argument != self.value,
            "SCMP_CMP_LT" => argument < self.value,
            "SCMP_CMP_LE" => argument <= self.value,
            "SCMP_CMP_GE" => argument >= self.value,
            "SCMP_CMP_GT" => argument > self.value,
            "SCMP_CMP_MASKED_EQ" => argument & self.value == self.second & self.value,
            operator => panic!("{operator}"),
        }
    }
}

fn answer(action: &Value, errno: &Value) -> u32 {
    let data = errno.as_u64().unwrap_or(1) as u32;
    match action.as_str().unwrap() {
        "SCMP_ACT_ALLOW" => 0x7fff_0000,
        "SCMP_ACT_LOG" => 0x7ffc_0000,
        "SCMP_ACT_TRACE" => 0x7ff0_0000 | data,
        "SCMP_ACT_ERRNO" => 0x0005_0000 | data,
        "SCMP_ACT_TRAP" => 0x0003_0000,
        "SCMP_ACT_KILL_PROCESS" => 0x8000_0000,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => 0,
        action => panic!("{action}"),
    }
}
