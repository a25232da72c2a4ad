//! Bytes that decide a program of requests, the number of shards and the order of messages: the shipped coordinator and shards run
//! it, and the reference model judges every result, as in the simulator.

use super::{Target, Verdict, take};
use crate::program::Program;
use crate::rng::Rng;
use crate::sim::{SHARDS, Setting, run_program};

/// This target: shards (1 byte), bytes that decide the order of messages (2), these, and the rest decides the program.
pub const TARGET: Target = Target { name: "batch", check, sample, repair, seeds: 1_200 };

const SAMPLE_BYTES_MAX: usize = 1_500;

/// Runs the program of the bytes. It is accepted if anything was posted.
pub fn check(mut bytes: &[u8]) -> Verdict {
    let rest = &mut bytes;
    let shards = SHARDS[usize::from(take::<1>(rest)[0]) % SHARDS.len()];
    let schedule = usize::from(u16::from_le_bytes(take(rest))).min(rest.len());
    let (schedule, program) = rest.split_at(schedule);
    let program = Program::of(&mut Rng::of_bytes(program));
    let mut rng = Rng::of_bytes(schedule);
    let setting = Setting::random(&mut rng, shards);
    let (tally, _) = run_program(&program, &setting, &mut rng);
    if tally.outcome(0) > 0 { Verdict::Accepted } else { Verdict::Refused }
}

fn sample(rng: &mut Rng) -> Vec<u8> {
    let (schedule, program) = (rng.below(SAMPLE_BYTES_MAX), rng.between(SAMPLE_BYTES_MAX / 10, SAMPLE_BYTES_MAX));
    let mut bytes = vec![rng.word() as u8];
    bytes.extend_from_slice(&(schedule as u16).to_le_bytes());
    bytes.extend((0..schedule + program).map(|_| rng.word() as u8));
    bytes
}

/// Any bytes are a program.
fn repair(bytes: Vec<u8>, _: &mut Rng) -> Vec<u8> {
    bytes
}
