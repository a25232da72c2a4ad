//! Snapshots that are asked for: the segment with the last durable frame is closed, then the thread that keeps snapshots is told. Rounds
//! that are under way have been promised room in the log, which closing a segment takes away: an order waits for them if need be.

use florin_wal::{LogWriter, Room};

use super::CoordinatorActor;
use crate::handle::Reply;

impl CoordinatorActor {
    /// Hands over the orders of snapshots that wait, all of which are of frames that are durable.
    pub(super) fn order_snapshots(&mut self) {
        if self.orders.is_empty() {
            return;
        }
        if self.log.is_read_only() {
            for on_reply in self.orders.drain(..) {
                let why = "this is the ledger as of a point in the past, served for reads only";
                on_reply(Reply::SnapshotFailed(why.into()));
            }
        }
        let under_way = self.core.rounds_in_flight();
        let is_new = self.durable > self.history.snapshots().frame;
        let room = match self.log.writer().filter(|_| is_new) {
            Some(writer) => writer.close_segment(under_way),
            None => Room::Ready,
        };
        match room {
            Room::Ready => {}
            // Asked again when the round is durable.
            Room::Soon | Room::Full if under_way > 0 => return,
            Room::Soon | Room::Full => {
                let why = self.log.writer().and_then(LogWriter::allocation_failure);
                let why = why.unwrap_or_else(|| "no segment could be allocated".into());
                for on_reply in self.orders.drain(..) {
                    on_reply(Reply::SnapshotFailed(format!("no room for the next segment of the log ({why})")));
                }
            }
        }
        for on_reply in self.orders.drain(..) {
            match self.durable {
                0 => on_reply(Reply::Snapshot(None)),
                durable => self.history.order_snapshot(durable, on_reply),
            }
        }
    }
}
