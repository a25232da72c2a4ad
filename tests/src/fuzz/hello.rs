//! The first request of a connection and its reply. Both come back as they were, whatever stands behind the name.

use florin_net::codec::hello::{Hello, HelloReply};

use super::{Target, Verdict};
use crate::rng::Rng;

/// This target: a byte, then the payload of a hello if it is even, else that of its reply.
pub const TARGET: Target = Target { name: "hello", check, sample, repair, seeds: 200_000 };

/// Bytes of a hello, and those of it in front of the name.
const HELLO_BYTES: usize = 104;
const HELLO_NAME_AT: usize = 40;

/// Decodes the payload.
pub fn check(bytes: &[u8]) -> Verdict {
    let Some((which, payload)) = bytes.split_first() else { return Verdict::Refused };
    let mut again = Vec::new();
    if which % 2 == 0 {
        let Ok(hello) = Hello::decode(payload) else { return Verdict::Refused };
        hello.encode(&mut again);
        assert_eq!(again.len(), HELLO_BYTES);
        let said = HELLO_NAME_AT + hello.name.len();
        assert_eq!(again[..said], payload[..said]);
        assert_eq!(Hello::decode(&again).as_ref(), Ok(&hello));
        let spoken = hello.version_min <= 1 && hello.version_max >= 1;
        assert_eq!(hello.negotiate().is_ok(), spoken, "{hello:?}");
    } else {
        let Ok(reply) = HelloReply::decode(payload) else { return Verdict::Refused };
        reply.encode(&mut again);
        assert_eq!(HelloReply::decode(&again), Ok(reply));
    }
    Verdict::Accepted
}

fn sample(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = vec![rng.below(2) as u8];
    let name = "jméno ".repeat(rng.below(10));
    if bytes[0] == 0 {
        let (version_min, version_max) = (rng.below(3) as u16, rng.between(3, 9) as u16);
        Hello { version_min, version_max, name }.encode(&mut bytes);
    } else {
        HelloReply { name, ..HelloReply::of_this_build(rng.word() as u32, 1_024) }.encode(&mut bytes);
    }
    bytes
}

/// A payload has no checksum of its own.
fn repair(bytes: Vec<u8>, _: &mut Rng) -> Vec<u8> {
    bytes
}
