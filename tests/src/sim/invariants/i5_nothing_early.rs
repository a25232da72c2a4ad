//! I5: nothing leaves above durable. An answer and a read name the frame that has to be durable before they leave, and say
//! nothing of rows behind that frame.
//!
//! Checked of each answer when it is made, of each read when it is complete, and of all that was let out before a crash by what
//! the crash left.

use florin_core::coordinator::Answer;

use crate::sim::Log;
use crate::sim::world::ReadAnswer;

/// An answer that was just made. Its own rows are in the log; what it repeats may be waiting for the same frame.
pub fn answer(answer: &Answer, log: &Log) {
    let said = answer.reply.items().map(|result| result.sequence).max().unwrap_or(0);
    let new = answer.reply.items().filter(|result| !result.repeat).map(|result| result.sequence).max().unwrap_or(0);
    assert!(new <= log.last_sequence(), "I5: an answer came before its frame");
    if said <= log.last_sequence() {
        let upto = log.last_sequence_of(log.frames.len().min(answer.after as usize));
        assert!(said <= upto, "I5: an answer says of row {said}, and waits for frame {}", answer.after);
    }
}

/// A read that is complete.
pub fn read(read: &ReadAnswer, log: &Log) {
    let newest = read.accounts.values().map(|account| account.last_entry).max().unwrap_or(0);
    assert!(newest <= read.position, "I5: a read at row {} shows row {newest}", read.position);
    if read.after <= log.frames.len() as u64 {
        let upto = log.last_sequence_of(read.after as usize);
        assert!(read.position <= upto, "I5: a read shows row {}, and waits for frame {}", read.position, read.after);
    }
}

/// What a crash took, and whether somebody was told of it.
pub fn lost(told: bool, what: impl Fn() -> String) {
    assert!(!told, "I5: an answer left before its frame was durable: {}", what());
}
