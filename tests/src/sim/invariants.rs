//! What holds of every ledger at every moment, as `docs/architecture.md` and the design state it: one file an invariant, with the
//! checks that the simulator makes of it. The first words of a finding name the invariant.

pub mod i1_conservation;
pub mod i2_limits;
pub mod i3_intervals;
pub mod i4_positions;
pub mod i5_nothing_early;
pub mod i6_one_outcome;
pub mod i7_same_state;
pub mod i8_no_trace;
pub mod i9_serial;
