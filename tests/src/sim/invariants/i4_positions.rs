//! I4, the order of positions: durable ≤ written ≤ decided, and what is derived from the log is of durable frames alone:
//! snapshot ≤ durable, indexed ≤ durable.
//!
//! Checked after everything that moves a position: a round that is closed, a frame that is appended, a sync, a run that is
//! taken over.

/// Positions, all as numbers of frames.
#[derive(Clone, Copy, Debug)]
pub struct Positions {
    /// What the disk has.
    pub durable: u64,
    /// What the coordinator takes for durable.
    pub believed: u64,
    /// What the log was given.
    pub written: u64,
    /// The last round that was made.
    pub decided: u64,
    /// Of the snapshot that was recovered from.
    pub snapshot: u64,
    /// Of the last run of ids.
    pub indexed: u64,
}

impl Positions {
    /// Panics unless they are in order.
    pub fn check(&self) {
        let Positions { durable, believed, written, decided, snapshot, indexed } = *self;
        assert!(durable <= written && written <= decided, "I4: durable, written, decided are out of order: {self:?}");
        assert!(believed <= durable, "I4: more is taken for durable than is: {self:?}");
        assert!(snapshot <= durable && indexed <= durable, "I4: what is not durable was folded or indexed: {self:?}");
    }
}
