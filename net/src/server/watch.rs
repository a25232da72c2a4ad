//! Watches: requests that wait for the next transactions beside their connection, which goes on.
//!
//! A watch that waits holds a place among the watches and nothing of the budgets that postings need: the engine is
//! asked for one transaction only, to learn that there is one. Once its connection has no other page unread, the page
//! is read, within a budget that only watches use; and its reply takes permits for the bytes that it has, like any
//! other reply. What holds: every watch is answered, with an empty page if its connection ends or the engine stops; its
//! place is free again once it is answered and the engine has forgotten it; and a peer that leaves its replies unread
//! has no page read.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use florin_core::entry::TransactionPage;
use florin_engine::{Command, Reply};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::Submit;
use super::connection::Context;
use super::outgoing::{InEngine, Outgoing};
use super::permits::{Budget, Cost};
use crate::codec::replies;

/// What is watched for.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    /// Number of the connection.
    pub origin: u64,
    /// Everything up to this row has been seen.
    pub after: u64,
    /// Most transactions of the page.
    pub limit: u32,
    /// How long to wait, milliseconds.
    pub wait_ms: u32,
}

/// A place among the watches of a connection and of the server.
pub struct Place {
    of_server: OwnedSemaphorePermit,
    of_connection: OfConnection,
}

struct OfConnection(Arc<Outgoing>);

impl Drop for OfConnection {
    fn drop(&mut self) {
        self.0.end_watch();
    }
}

impl Place {
    /// Takes a place, if there is one.
    pub fn take(budget: &Budget, outgoing: &Arc<Outgoing>) -> Option<Place> {
        let of_server = budget.watch()?;
        outgoing.begin_watch().then(|| Place { of_server, of_connection: OfConnection(outgoing.clone()) })
    }
}

/// How the wait for a transaction ended.
enum Waited {
    /// There is one after this row; the place comes back.
    Something(u64, OwnedSemaphorePermit),
    /// There is none, or the engine cannot tell: this is the answer.
    Answer(Reply),
    /// The connection is ending.
    Halted(u64),
    /// The engine dropped the question.
    Dropped,
}

/// Serves a watch to its answer.
pub async fn serve<S: Submit>(
    context: Rc<Context<S>>,
    mut watch: Watch,
    outgoing: Arc<Outgoing>,
    place: Place,
    in_engine: InEngine,
) {
    let Place { of_server, of_connection: _counted } = place;
    let institution = in_engine.asked().institution;
    let ask = |watch: Watch| {
        let Watch { after, limit, wait_ms, .. } = watch;
        Command::Watch { institution, after, limit, wait_ms }
    };
    let (seen, _of_server) = match wait(&context, watch, ask, &outgoing, of_server).await {
        Waited::Something(seen, of_server) => (seen, of_server),
        Waited::Answer(reply) => return in_engine.answer(&reply),
        Waited::Halted(seen) => return in_engine.answer(&nothing(seen)),
        // Dropping it unanswered tells the peer.
        Waited::Dropped => return,
    };
    (watch.after, watch.wait_ms) = (seen, 0);
    if !outgoing.reserve(Cost::PAGE).await {
        return in_engine.answer(&nothing(seen));
    }
    let rooms = async {
        let of_frame = context.budget.page_reply().await;
        (of_frame, context.budget.page(Cost::of(&ask(watch), 0).read_bytes).await)
    };
    let (mut of_frame, room) = tokio::select! {
        biased;
        rooms = rooms => rooms,
        () = outgoing.halted() => {
            outgoing.cancel(Cost::PAGE);
            return in_engine.answer(&nothing(seen));
        }
    };
    let (tell, told) = oneshot::channel();
    context.engine.submit(watch.origin, ask(watch), Box::new(move |reply| drop(tell.send(reply))));
    let Ok(reply) = told.await else { return outgoing.cancel(Cost::PAGE) };
    let mut frame = Vec::new();
    replies::append(&mut frame, in_engine.asked(), &reply);
    drop(reply);
    // From here on only the frame is there, until it is written: the rest of the room is for others.
    drop(room);
    let page_bytes = frame.len().min(of_frame.num_permits());
    of_frame.split(page_bytes).expect("no more than there is").forget();
    drop(of_frame);
    outgoing.grow(Cost { page_bytes, ..Cost::default() });
    in_engine.answer_encoded(Cost { page_bytes, ..Cost::PAGE }, &frame);
}

/// Waits until there is a transaction. The engine is asked again and again, so that it forgets soon what nobody wants.
async fn wait<S: Submit>(
    context: &Context<S>,
    watch: Watch,
    ask: impl Fn(Watch) -> Command,
    outgoing: &Outgoing,
    mut place: OwnedSemaphorePermit,
) -> Waited {
    let deadline = Instant::now() + Duration::from_millis(u64::from(watch.wait_ms));
    let mut seen = watch.after;
    loop {
        let now = Instant::now();
        let left = deadline.saturating_duration_since(now).min(context.options.watch_slice);
        // Rounded up, to the nanosecond: a wait of 0 would ask without a pause, and one that ends before the deadline once more.
        let slice_ms = u32::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX).min(watch.wait_ms);
        let until = now + Duration::from_millis(u64::from(slice_ms));
        let (tell, told) = oneshot::channel();
        let question = ask(Watch { after: seen, limit: 1, wait_ms: slice_ms, ..watch });
        // The place goes along: if nobody listens any more it is given back when the engine answers.
        context.engine.submit(watch.origin, question, Box::new(move |reply| drop(tell.send((reply, place)))));
        let told = tokio::select! {
            biased;
            told = told => told,
            () = outgoing.halted() => return Waited::Halted(seen),
        };
        let Ok((reply, returned)) = told else { return Waited::Dropped };
        place = returned;
        match reply {
            Reply::TransactionPage(page) if page.transactions.is_empty() => {
                seen = page.seen;
                // Before its time an empty page says that the engine is stopping.
                let over = until >= deadline || Instant::now() < until;
                if over && !page.more {
                    return Waited::Answer(Reply::TransactionPage(page));
                }
            }
            Reply::TransactionPage(_) => return Waited::Something(seen, place),
            reply => return Waited::Answer(reply),
        }
    }
}

fn nothing(seen: u64) -> Reply {
    Reply::TransactionPage(TransactionPage { seen, position: seen, ..TransactionPage::default() })
}
