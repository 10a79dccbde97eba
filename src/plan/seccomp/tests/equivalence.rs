//! The compiled program against a slow reading of the JSON itself, on many calls.

use serde_json::Value;

use super::*;

pub const CLASSIC_JSON: &str = include_str!("../testdata/classic.json");
const CALLS: usize = 200_000;

/// The profile as its JSON says it, evaluated rule by rule, without any type of this crate.
struct Reference<'a> {
    json: &'a Value,
    abis: Vec<Abi>,
    foreign: u32,
    /// Per ABI and rule, the numbers of its names.
    numbers: Vec<Vec<Vec<u32>>>,
}

impl<'a> Reference<'a> {
    fn new(json: &'a Value, abis: Vec<Abi>, foreign: u32) -> Self {
        let rules = json["syscalls"].as_array().unwrap();
        let names = |rule: &Value, abi: Abi| -> Vec<u32> {
            let names = rule["names"].as_array().unwrap();
            names.iter().filter_map(|name| abi.number(name.as_str().unwrap())).collect()
        };
        let numbers = abis.iter().map(|abi| rules.iter().map(|rule| names(rule, *abi)).collect()).collect();
        Reference { json, abis, foreign, numbers }
    }

    fn answer(&self, call: &Call) -> u32 {
        let default = action(&self.json["defaultAction"], &self.json["defaultErrnoRet"]);
        let newer = if self.json["defaultAction"] == "SCMP_ACT_ERRNO" { 0x0005_0026 } else { default };
        if call.arch == 0xc000_003e && call.number == u32::MAX {
            return newer;
        }
        let x32 = call.arch == 0xc000_003e && call.number >= 0x4000_0000;
        let Some(abi) =
            self.abis.iter().position(|abi| abi.audit_arch() == call.arch && (*abi == Abi::X32) == x32)
        else {
            return self.foreign;
        };
        let rules = self.json["syscalls"].as_array().unwrap();
        let numbers = &self.numbers[abi];
        for (rule, _) in rules.iter().zip(numbers).filter(|(_, numbers)| numbers.contains(&call.number)) {
            if matches(&rule["args"], call) {
                return action(&rule["action"], &rule["errnoRet"]);
            }
        }
        let named = numbers.iter().flatten();
        let newest = named.filter(|number| !(512..548).contains(&(*number & 0xffff))).max().unwrap();
        let is_named = numbers.iter().flatten().any(|number| *number == call.number);
        if call.number > *newest && !is_named { newer } else { default }
    }
}

fn matches(args: &Value, call: &Call) -> bool {
    let Some(args) = args.as_array() else { return true };
    let holds = |arg: &Value| {
        let argument = call.args[arg["index"].as_u64().unwrap() as usize];
        let (value, two) = (arg["value"].as_u64().unwrap(), arg["valueTwo"].as_u64().unwrap_or(0));
        match arg["op"].as_str().unwrap() {
            "SCMP_CMP_EQ" => argument == value,
            "SCMP_CMP_NE" => argument != value,
            "SCMP_CMP_LT" => argument < value,
            "SCMP_CMP_LE" => argument <= value,
            "SCMP_CMP_GE" => argument >= value,
            "SCMP_CMP_GT" => argument > value,
            "SCMP_CMP_MASKED_EQ" => argument & value == two & value,
            op => panic!("{op}"),
        }
    };
    let twice = args.iter().enumerate().any(|(i, arg)| args[..i].iter().any(|a| a["index"] == arg["index"]));
    if twice { args.iter().any(holds) } else { args.iter().all(holds) }
}

fn action(action: &Value, errno: &Value) -> u32 {
    match action.as_str().unwrap() {
        "SCMP_ACT_ALLOW" => 0x7fff_0000,
        "SCMP_ACT_LOG" => 0x7ffc_0000,
        "SCMP_ACT_TRACE" => 0x7ff0_0000 | errno.as_u64().unwrap_or(1) as u32,
        "SCMP_ACT_ERRNO" => 0x0005_0000 | errno.as_u64().unwrap_or(1) as u32,
        "SCMP_ACT_KILL_PROCESS" => 0x8000_0000,
        action => panic!("{action}"),
    }
}

/// xorshift64*: the same calls in every run.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

/// Every value a rule compares with, near it, and with bits in the other half.
pub fn interesting(json: &Value) -> Vec<u64> {
    let mut values = vec![0, 1, u64::MAX];
    let args = json["syscalls"].as_array().unwrap().iter().flat_map(|rule| rule["args"].as_array().cloned());
    for arg in args.flatten() {
        for value in [&arg["value"], &arg["valueTwo"]].into_iter().filter_map(Value::as_u64) {
            values.extend([value, value.wrapping_sub(1), value.wrapping_add(1), value | 1 << 32, !value]);
        }
    }
    values.sort();
    values.dedup();
    values
}

pub fn random_call(random: &mut Random, values: &[u64], conditional: &[u32]) -> Call {
    let arch = match random.below(10) {
        0 => Abi::X86.audit_arch(),
        1 => Abi::Aarch64.audit_arch(),
        2 => random.next() as u32,
        _ => Abi::X86_64.audit_arch(),
    };
    let number = match random.below(8) {
        0 => random.next() as u32,
        1 => 0x4000_0000 | random.below(600) as u32,
        2 | 3 => random.below(600) as u32,
        4 => random.one_of(&[u32::MAX, u32::MAX - 1, 0x3fff_ffff, 0x4000_0000, 0x8000_0000]),
        _ => random.one_of(conditional),
    };
    let args = std::array::from_fn(|_| match random.below(4) {
        0 => random.next(),
        1 => random.next() & 0xf,
        _ => random.one_of(values),
    });
    Call { arch, number, args }
}

fn assert_equivalent(program: &[u64], reference: &Reference, native: Abi) {
    let values = interesting(reference.json);
    let rules = reference.json["syscalls"].as_array().unwrap().iter();
    let names =
        rules.filter(|rule| rule["args"].is_array()).flat_map(|rule| rule["names"].as_array().unwrap());
    let conditional: Vec<u32> = names.filter_map(|name| native.number(name.as_str().unwrap())).collect();
    let mut random = Random(0x5eed);
    let mut answers = std::collections::BTreeMap::new();
    for _ in 0..CALLS {
        let mut call = random_call(&mut random, &values, &conditional);
        if native == Abi::Aarch64 && call.arch == Abi::X86_64.audit_arch() {
            call.arch = native.audit_arch();
        }
        let answer = run(program, &call).0.0;
        assert_eq!(answer, reference.answer(&call), "{call:x?}");
        *answers.entry(answer).or_insert(0) += 1;
    }
    println!("{CALLS} calls, answers {answers:x?}");
    assert!(answers.len() > 3, "the calls reach too few answers: {answers:x?}");
}

#[test]
fn the_built_in_profiles_mean_what_their_json_says() {
    for text in [super::super::BASELINE_JSON, super::super::STRICT_JSON] {
        let json: Value = serde_json::from_str(text).unwrap();
        let seccomp = serde_json::from_value(json.clone()).unwrap();
        for arch in [Arch::X86_64, Arch::Aarch64] {
            let profile = Profile::read(&seccomp, arch, Answer::ENOSYS).unwrap();
            let reference = Reference::new(&json, vec![arch.native_abi()], Answer::ENOSYS.0);
            assert_equivalent(&compile(&profile), &reference, arch.native_abi());
        }
    }
}

#[test]
fn a_profile_of_three_abis_means_what_its_json_says() {
    let json: Value = serde_json::from_str(CLASSIC_JSON).unwrap();
    let seccomp = serde_json::from_value(json.clone()).unwrap();
    let profile = Profile::read(&seccomp, Arch::X86_64, Answer::KILL_THREAD).unwrap();
    let reference = Reference::new(&json, vec![Abi::X86_64, Abi::X32, Abi::X86], Answer::KILL_THREAD.0);
    assert_equivalent(&compile(&profile), &reference, Abi::X86_64);
}
