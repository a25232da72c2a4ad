//! Watches: readers that wait for the next transactions. A page is read by history once something new is durable; whoever does
//! not ask again holds nothing up.

use std::time::Instant;

use actix::prelude::*;
use florin_core::entry::TransactionPage;

use super::CoordinatorActor;
use crate::handle::{OnReply, Reply};
use crate::history::{Job, Wanted};

/// A reader that waits.
pub(super) struct Watcher {
    pub institution: u32,
    /// Everything up to this row was looked at.
    pub after: u64,
    pub limit: u32,
    /// How long to wait.
    pub until: Instant,
    pub on_reply: OnReply,
    /// Whether a page was read for it.
    pub tried: bool,
}

/// A page was read: none had anything for its watcher, who goes on waiting, or nobody does any more.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct WasRead(Option<Watcher>);

impl CoordinatorActor {
    /// Serves a watcher, now if there is something new, else later.
    pub(super) fn watch(&mut self, watcher: Watcher) {
        let is_over = watcher.until <= Instant::now() && (watcher.tried || watcher.after >= self.durable_sequence);
        if self.is_stopping() || is_over {
            let (seen, position) = (watcher.after, self.durable_sequence);
            let page = TransactionPage { seen, position, ..TransactionPage::default() };
            (watcher.on_reply)(Reply::TransactionPage(page));
        } else if watcher.after < self.durable_sequence {
            self.read_for(watcher);
        } else {
            self.watchers.push(watcher);
        }
    }

    /// Serves the watchers for whom something new may be durable, or whose time is over.
    pub(super) fn serve_watchers(&mut self) {
        for watcher in std::mem::take(&mut self.watchers) {
            self.watch(watcher);
        }
    }

    /// When the first watcher must be answered.
    pub(super) fn next_watch_end(&self) -> Option<Instant> {
        self.watchers.iter().map(|w| w.until).min()
    }

    fn read_for(&mut self, watcher: Watcher) {
        let Watcher { institution, after, limit, until, on_reply, .. } = watcher;
        let position = self.durable_sequence;
        let coordinator = self.address.clone();
        self.reading += 1;
        let then: OnReply = Box::new(move |reply| {
            let waiting = match reply {
                Reply::TransactionPage(page) if page.transactions.is_empty() => {
                    Some(Watcher { institution, after: page.seen, limit, until, on_reply, tried: true })
                }
                reply => {
                    on_reply(reply);
                    None
                }
            };
            if let Some(coordinator) = coordinator {
                coordinator.do_send(WasRead(waiting));
            }
        });
        self.history.send(Job::Page { institution, want: Wanted::All, after, limit, position }, then);
    }
}

impl Handler<WasRead> for CoordinatorActor {
    type Result = ();

    fn handle(&mut self, WasRead(waiting): WasRead, ctx: &mut Context<Self>) {
        self.reading -= 1;
        if let Some(watcher) = waiting {
            self.watch(watcher);
        }
        self.set_alarm(ctx);
        self.try_stop();
    }
}
