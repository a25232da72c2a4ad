//! A thread that nobody waits for: of the lowest priority, with a pace that leaves the machine to the others. It ends when it is told to,
//! and at the latest when this is dropped.

use std::thread::JoinHandle;

use crossbeam::channel::{Sender, bounded};
use florin_wal::LogReader;

use crate::pace::Pace;

/// The thread, from outside.
pub(crate) struct Background {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Starts a thread. It looks at its pace often enough that nobody waits long for its end.
    pub(crate) fn start(
        name: &str,
        log: &LogReader,
        body: impl FnOnce(Pace) + Send + 'static,
    ) -> std::io::Result<Background> {
        let (stop, stopped) = bounded(0);
        let pace = Pace::new(log.clone(), stopped);
        let run = move || {
            Pace::lower_priority();
            body(pace);
        };
        let thread = std::thread::Builder::new().name(name.into()).spawn(run)?;
        Ok(Background { stop: Some(stop), thread: Some(thread) })
    }

    /// Ends the thread.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("a panic aborts the process");
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop();
    }
}
