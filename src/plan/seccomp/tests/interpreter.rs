//! The part of classic BPF that seccomp filters use.

use super::super::profile::Answer;

/// What the kernel shows a filter: `struct seccomp_data`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    pub arch: u32,
    pub number: u32,
    pub args: [u64; 6],
}

impl Call {
    fn word(&self, offset: u32) -> u32 {
        let half = |value: u64, offset: u32| (value >> (8 * (offset % 8))) as u32;
        match offset {
            0 => self.number,
            4 => self.arch,
            16.. if offset.is_multiple_of(4) => half(self.args[(offset as usize - 16) / 8], offset),
            _ => panic!("load at {offset}"),
        }
    }
}

/// The answer and how many instructions it took. Panics where the kernel would reject the program.
pub fn run(program: &[u64], call: &Call) -> (Answer, usize) {
    let (mut accumulator, mut at, mut steps) = (0u32, 0, 0);
    loop {
        let instruction = program[at];
        let code = instruction as u16;
        let (yes, no) = ((instruction >> 16) as u8, (instruction >> 24) as u8);
        let k = (instruction >> 32) as u32;
        at += 1;
        steps += 1;
        let holds = match code {
            0x20 => {
                accumulator = call.word(k);
                continue;
            }
            0x54 => {
                accumulator &= k;
                continue;
            }
            0x05 => {
                at += k as usize;
                continue;
            }
            0x06 => return (Answer(k), steps),
            0x15 => accumulator == k,
            0x25 => accumulator > k,
            0x35 => accumulator >= k,
            _ => panic!("code {code:#x}"),
        };
        at += usize::from(if holds { yes } else { no });
    }
}

/// The most instructions any call can take.
pub fn longest_path(program: &[u64]) -> usize {
    let mut from = vec![0; program.len()];
    for at in (0..program.len()).rev() {
        let instruction = program[at];
        let next = |skip: u64| from[at + 1 + skip as usize];
        from[at] = 1 + match instruction as u16 {
            0x06 => 0,
            0x05 => next(instruction >> 32),
            0x20 | 0x54 => next(0),
            _ => next(instruction >> 16 & 0xff).max(next(instruction >> 24 & 0xff)),
        };
    }
    from[0]
}
