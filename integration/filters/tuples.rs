//! Calls to try, many and nasty: near what a profile names, in single bits, and in the halves that an int has not.

use sandrun::plan::seccomp::names::Abi;
use serde_json::Value;

use super::program::Call;

/// Draws calls. The same seed draws the same calls.
pub struct Tuples {
    state: u64,
    rules: Vec<Conditional>,
}

/// A rule with arguments, through one ABI.
struct Conditional {
    arch: u32,
    number: u32,
    /// What it compares with.
    constants: Vec<u64>,
}

impl Tuples {
    pub fn new(profiles: &[&Value], seed: u64) -> Tuples {
        let rules = profiles.iter().flat_map(|json| json["syscalls"].as_array().unwrap());
        let rules = rules.filter(|rule| rule["args"].is_array()).flat_map(Conditional::all).collect();
        Tuples { state: seed, rules }
    }

    pub fn draw(&mut self) -> Call {
        let near = self.below(self.rules.len());
        let (arch, number) = match self.below(8) {
            0 => (self.arch(), self.next() as u32),
            1 => (self.arch(), 0x4000_0000 | self.below(600) as u32),
            2 => (self.arch(), self.below(600) as u32),
            3 => (self.arch(), [u32::MAX, 0x3fff_ffff, 0x4000_0000, 0x8000_0000][self.below(4)]),
            _ => (self.rules[near].arch, self.rules[near].number),
        };
        Call { arch, number, args: std::array::from_fn(|_| self.argument(near)) }
    }

    fn arch(&mut self) -> u32 {
        match self.below(10) {
            0 => Abi::Aarch64.audit_arch(),
            1 => self.next() as u32,
            2 | 3 => Abi::X86.audit_arch(),
            _ => Abi::X86_64.audit_arch(),
        }
    }

    /// Mostly near what a rule compares with.
    fn argument(&mut self, rule: usize) -> u64 {
        let place = self.below(self.rules[rule].constants.len());
        let constant = self.rules[rule].constants[place];
        match self.below(8) {
            0 => self.next(),
            1 => self.next() & 0xf,
            2 => constant ^ 1 << self.below(64),
            3 => constant | self.next() << 32,
            4 => constant.wrapping_add(self.below(3) as u64).wrapping_sub(1),
            5 => !constant,
            _ => constant,
        }
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// xorshift64*.
    fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

impl Conditional {
    /// Of every name, most often through the ABI that most profiles are for.
    fn all(rule: &Value) -> Vec<Conditional> {
        let args = rule["args"].as_array().unwrap().iter();
        let values = args.flat_map(|arg| [&arg["value"], &arg["valueTwo"]]).filter_map(Value::as_u64);
        let constants: Vec<u64> = values.chain([0, 1, u64::MAX]).collect();
        let names = rule["names"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
        let abis = [Abi::X86_64, Abi::X86_64, Abi::X86_64, Abi::X32, Abi::X86];
        let calls = names.flat_map(|name| abis.map(|abi| (abi.audit_arch(), abi.number(name))));
        calls
            .filter_map(|(arch, number)| {
                Some(Conditional { arch, number: number?, constants: constants.clone() })
            })
            .collect()
    }
}
