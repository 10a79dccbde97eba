//! Classic BPF, assembled from its end.
//!
//! Every jump of a filter goes forward, so an instruction is added after those it leads to. Its place is then
//! known by its distance from the end, and an instruction that is already there is used again: parts of the
//! program that do the same are the same part. The idea is that of Chromium's `bpf_dsl`.

use std::collections::HashMap;

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
/// Over `k` instructions.
pub const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
/// Ends with the answer `k`.
pub const RETURN: u16 = 0x06; // BPF_RET | BPF_K

/// What a conditional jump asks of the accumulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Ask {
    /// `A == k`.
    Equal = 0x15, // BPF_JMP | BPF_JEQ | BPF_K
    /// `A > k`.
    Greater = 0x25, // BPF_JMP | BPF_JGT | BPF_K
    /// `A >= k`.
    GreaterOrEqual = 0x35, // BPF_JMP | BPF_JGE | BPF_K
}

/// An instruction in place, by its distance from the end of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Place(usize);

/// Where a program goes on, and what must be in the accumulator there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    place: Place,
    /// The offset of the word in `struct seccomp_data`.
    word: Option<u32>,
}

/// One `struct sock_filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Instruction {
    code: u16,
    yes: u8,
    no: u8,
    k: u32,
}

/// A program under construction.
#[derive(Debug, Default)]
pub struct Code {
    /// The last instruction first.
    reversed: Vec<Instruction>,
    /// What has been asked for before, and where it is.
    known: HashMap<(u16, u32, Place, Place), Place>,
}

impl Code {
    /// Ends the filter with `value`.
    pub fn finish(&mut self, value: u32) -> Entry {
        let nowhere = Place(0);
        let place = self.once((RETURN, value, nowhere, nowhere), |code| code.put(RETURN, value, 0, 0));
        Entry { place, word: None }
    }

    /// Asks about the word at `offset` of `struct seccomp_data` and goes on at `yes` or `no`.
    pub fn ask(&mut self, offset: u32, ask: Ask, k: u32, yes: Entry, no: Entry) -> Entry {
        if yes == no {
            return yes;
        }
        // The word is still there when the next question is about it.
        let (yes, no) = (self.enter(yes, Some(offset)), self.enter(no, Some(offset)));
        Entry { place: self.branch(ask, k, yes, no), word: Some(offset) }
    }

    /// Asks whether the bits of `mask` in the word at `offset` are those of `k`.
    pub fn ask_masked(&mut self, offset: u32, mask: u32, k: u32, yes: Entry, no: Entry) -> Entry {
        if yes == no {
            return yes;
        }
        let (yes, no) = (self.enter(yes, None), self.enter(no, None));
        let branch = self.branch(Ask::Equal, k, yes, no);
        Entry { place: self.before(AND, mask, branch), word: Some(offset) }
    }

    /// Makes `entry` the beginning of the program: the last thing to do.
    pub fn begin(&mut self, entry: Entry) {
        let first = self.enter(entry, None);
        self.bring_next(first);
    }

    /// The program from its first instruction on, each packed like `struct sock_filter` on a little-endian
    /// machine; both our architectures are.
    pub fn packed(&self) -> Vec<u64> {
        self.reversed.iter().rev().map(Instruction::packed).collect()
    }

    /// The place to jump to for `entry` with the word at `holds` in the accumulator.
    fn enter(&mut self, entry: Entry, holds: Option<u32>) -> Place {
        match entry.word {
            Some(offset) if holds != entry.word => self.before(LOAD, offset, entry.place),
            _ => entry.place,
        }
    }

    fn before(&mut self, code: u16, k: u32, next: Place) -> Place {
        self.once((code, k, next, next), |program| {
            program.bring_next(next);
            program.put(code, k, 0, 0)
        })
    }

    fn branch(&mut self, ask: Ask, k: u32, yes: Place, no: Place) -> Place {
        self.once((ask as u16, k, yes, no), |code| {
            let (yes, no) = code.bring_near(yes, no);
            let (yes, no) = (code.skip(yes), code.skip(no));
            code.put(ask as u16, k, u8::try_from(yes).unwrap_or(u8::MAX), u8::try_from(no).unwrap_or(u8::MAX))
        })
    }

    fn once(&mut self, key: (u16, u32, Place, Place), build: impl FnOnce(&mut Code) -> Place) -> Place {
        if let Some(place) = self.known.get(&key) {
            return *place;
        }
        let place = build(self);
        self.known.insert(key, place);
        place
    }

    fn put(&mut self, code: u16, k: u32, yes: u8, no: u8) -> Place {
        self.reversed.push(Instruction { code, yes, no, k });
        Place(self.reversed.len() - 1)
    }

    /// How many instructions one put now would jump over to get to `target`.
    fn skip(&self, target: Place) -> usize {
        self.reversed.len() - 1 - target.0
    }

    /// Makes `next` the instruction that follows the one put next.
    fn bring_next(&mut self, next: Place) {
        if self.skip(next) > 0 {
            self.again(next);
        }
    }

    /// Both targets within the 255 instructions that a conditional jump can skip.
    fn bring_near(&mut self, yes: Place, no: Place) -> (Place, Place) {
        let reach = usize::from(u8::MAX);
        // A copy of the nearer target moves the other one away by an instruction.
        if self.skip(yes.min(no)) <= reach {
            (yes, no)
        } else if self.skip(yes.max(no)) < reach {
            let far = self.again(yes.min(no));
            if yes < no { (far, no) } else { (yes, far) }
        } else {
            (self.again(yes), self.again(no))
        }
    }

    /// A nearer place that does what `target` does.
    fn again(&mut self, target: Place) -> Place {
        match self.reversed.get(target.0) {
            Some(Instruction { code: RETURN, k, .. }) => self.put(RETURN, *k, 0, 0),
            _ => {
                let skip = u32::try_from(self.skip(target)).unwrap_or(u32::MAX);
                self.put(JUMP, skip, 0, 0)
            }
        }
    }
}

impl Instruction {
    fn packed(&self) -> u64 {
        u64::from(self.code) | u64::from(self.yes) << 16 | u64::from(self.no) << 24 | u64::from(self.k) << 32
    }
}
