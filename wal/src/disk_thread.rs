//! The thread that writes large groups, one at a time, so that the next one is copied and digested meanwhile. Small ones are not worth
//! the two wake-ups.

use crate::error::LogFailure;
use crate::group::Outgoing;
use crossbeam::channel::{Receiver, Sender, bounded};
use std::thread::JoinHandle;

/// Its name.
pub(crate) const DISK_THREAD: &str = "log-disk";

/// What became of a group.
type Done = Result<Outgoing, LogFailure>;

/// The thread, from the writer's side. Dropped, it ends once the group that it has is written.
pub(crate) struct DiskThread {
    groups: Option<Sender<Outgoing>>,
    done: Receiver<Done>,
    thread: Option<JoinHandle<()>>,
}

impl DiskThread {
    pub(crate) fn start() -> std::io::Result<DiskThread> {
        let (groups, work) = bounded::<Outgoing>(1);
        let (tell, done) = bounded::<Done>(1);
        let run = move || {
            for group in work {
                // Nobody listens any more only if the writer has panicked, which is reported.
                let _ = tell.send(group.write().map(|()| group));
            }
        };
        let thread = std::thread::Builder::new().name(DISK_THREAD.into()).spawn(run)?;
        Ok(DiskThread { groups: Some(groups), done, thread: Some(thread) })
    }

    /// Begins to write a group; the one before is done.
    pub(crate) fn write(&self, group: Outgoing) {
        // Had it panicked, `done` would say so.
        let _ = self.groups.as_ref().expect("there until it is dropped").send(group);
    }

    /// Gives each group back when it is durable, or why it is not.
    pub(crate) fn done(&self) -> &Receiver<Done> {
        &self.done
    }
}

impl Drop for DiskThread {
    fn drop(&mut self) {
        drop(self.groups.take());
        if let Some(thread) = self.thread.take() {
            // A panic was met as a group that never came back.
            let _ = thread.join();
        }
    }
}
