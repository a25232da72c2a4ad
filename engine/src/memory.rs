//! A thread that gets memory for ids before they need it. The first use of a page that the system has yet to give takes milliseconds for a
//! huge one, and would hold up the coordinator and all that wait for it. Should the thread be late, the coordinator gets memory itself.

use std::thread::JoinHandle;

use actix::prelude::*;
use crossbeam::channel::{Sender, bounded};
use florin_core::dedup::{Memory, MemoryWanted};

use crate::coordinator_actor::CoordinatorActor;

/// Memory that was asked for.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Got(pub Memory);

/// The thread, from the coordinator's side.
pub(crate) struct MemoryAhead {
    wanted: Option<Sender<MemoryWanted>>,
    thread: Option<JoinHandle<()>>,
    /// Something was asked for and did not come yet.
    is_asked: bool,
}

impl MemoryAhead {
    /// Starts the thread.
    pub(crate) fn start(coordinator: Addr<CoordinatorActor>) -> std::io::Result<MemoryAhead> {
        let (ask, asked) = bounded::<MemoryWanted>(1);
        let run = move || asked.into_iter().for_each(|wanted| coordinator.do_send(Got(wanted.get())));
        let thread = std::thread::Builder::new().name("florin-memory".into()).spawn(run)?;
        Ok(MemoryAhead { wanted: Some(ask), thread: Some(thread), is_asked: false })
    }

    /// Asks for memory, unless some that was asked for is still to come.
    pub(crate) fn ask(&mut self, wanted: impl FnOnce() -> Option<MemoryWanted>) {
        if self.is_asked {
            return;
        }
        if let Some(wanted) = wanted() {
            let ask = self.wanted.as_ref().expect("it goes when this is dropped");
            ask.send(wanted).expect("the thread runs as long as it may be asked");
            self.is_asked = true;
        }
    }

    /// What was asked for has come.
    pub(crate) fn has_come(&mut self) {
        self.is_asked = false;
    }
}

impl Drop for MemoryAhead {
    fn drop(&mut self) {
        drop(self.wanted.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("a panic aborts the process");
        }
    }
}
