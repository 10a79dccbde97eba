//! Filters as the kernel runs them: classic BPF over `struct seccomp_data`, all of a process's, the strictest answer
//! counts (seccomp(2)). Written for the tests: nothing here is the code that made the programs.

/// What the kernel shows a filter: `struct seccomp_data`, whose instruction pointer no filter here asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    pub arch: u32,
    pub number: u32,
    pub args: [u64; 6],
}

impl Call {
    /// The word at an offset of `struct seccomp_data`.
    pub fn word(&self, offset: u32) -> u32 {
        match offset {
            0 => self.number,
            4 => self.arch,
            16..64 if offset.is_multiple_of(8) => self.args[(offset as usize - 16) / 8] as u32,
            20..64 if offset.is_multiple_of(4) => (self.args[(offset as usize - 20) / 8] >> 32) as u32,
            _ => panic!("a filter asks for what is at {offset}"),
        }
    }
}

/// `SECCOMP_RET_ALLOW`.
pub const ALLOW: u32 = 0x7fff_0000;
const TRAP: u32 = 0x0003_0000;
const ERRNO: u32 = 0x0005_0000;

/// Whether the call is made, or may be when an agent or a tracer says so.
pub fn lets_through(answer: u32) -> bool {
    !matches!(answer & 0xffff_0000, 0 | 0x8000_0000 | TRAP | ERRNO)
}

/// One instruction: `struct sock_filter`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Instruction {
    code: u16,
    yes: u8,
    no: u8,
    k: u32,
}

/// What an instruction does.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    Load(u32),
    And(u32),
    Jump(usize),
    Branch(Test, usize, usize),
    Return(u32),
}

/// A test of the accumulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    Equal(u32),
    Greater(u32),
    GreaterOrEqual(u32),
    AnyOf(u32),
}

impl Test {
    pub fn holds(self, accumulator: u32) -> bool {
        match self {
            Test::Equal(k) => accumulator == k,
            Test::Greater(k) => accumulator > k,
            Test::GreaterOrEqual(k) => accumulator >= k,
            Test::AnyOf(k) => accumulator & k != 0,
        }
    }
}

impl Instruction {
    pub const NOTHING: Instruction = Instruction { code: 0, yes: 0, no: 0, k: 0 };

    pub fn operation(self) -> Operation {
        let branch = |test| Operation::Branch(test, self.yes.into(), self.no.into());
        match self.code {
            0x20 => Operation::Load(self.k),
            0x54 => Operation::And(self.k),
            0x05 => Operation::Jump(self.k as usize),
            0x15 => branch(Test::Equal(self.k)),
            0x25 => branch(Test::Greater(self.k)),
            0x35 => branch(Test::GreaterOrEqual(self.k)),
            0x45 => branch(Test::AnyOf(self.k)),
            0x06 => Operation::Return(self.k),
            code => panic!("instruction {code:#x} is new to this test"),
        }
    }
}

/// All filters of a process, the oldest first.
pub struct Filters(pub Vec<Vec<Instruction>>);

impl Filters {
    /// What the kernel does with a call. Of equally strict answers that of the newest filter counts.
    pub fn answer(&self, call: &Call) -> u32 {
        self.0.iter().rev().map(|program| run(program, call)).fold(ALLOW, stricter)
    }

    /// How many instructions they have together.
    pub fn len(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }
}

/// The stricter of two answers, the first where they are equally strict: the data does not count, and
/// `SECCOMP_RET_KILL_PROCESS` is negative.
pub fn stricter(first: u32, second: u32) -> u32 {
    let action = |answer: u32| (answer & 0xffff_0000).cast_signed();
    if action(second) < action(first) { second } else { first }
}

fn run(program: &[Instruction], call: &Call) -> u32 {
    let (mut accumulator, mut at) = (0, 0);
    loop {
        let operation = program[at].operation();
        at += 1;
        match operation {
            Operation::Load(offset) => accumulator = call.word(offset),
            Operation::And(k) => accumulator &= k,
            Operation::Jump(skip) => at += skip,
            Operation::Branch(test, yes, no) => at += if test.holds(accumulator) { yes } else { no },
            Operation::Return(answer) => return answer,
        }
    }
}
