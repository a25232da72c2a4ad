//! A way to the engine: over TCP, or within this process. The loops of `sender.rs` use both alike.

use florin_core::entry::PostReply;
use florin_core::request::PostForm;
use florin_net::Pipeline;
use florin_net::header::Operation;

use crate::error::BenchError;

/// Whose answer it is, and how many accounts it holds if it is that of a look-up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    /// The slot that was given with the request.
    pub slot: u32,
    /// Accounts found by a look-up; none = the results of a post.
    pub found: Option<usize>,
}

/// Requests out, answers in, in any order.
pub(crate) trait Link {
    /// Queues a request of transactions, which `fill` lays out.
    fn post(&mut self, form: PostForm, rows: u32, slot: u32, fill: impl FnOnce(&mut Vec<u8>))
    -> Result<(), BenchError>;
    /// Queues a look-up of accounts.
    fn look_up(&mut self, ids: &[u128], slot: u32) -> Result<(), BenchError>;
    /// Sends what is queued.
    async fn flush(&mut self) -> Result<(), BenchError>;
    /// Waits until there is an answer, or a part of one. It may be cancelled.
    async fn receive(&mut self) -> Result<(), BenchError>;
    /// The next answer, if it is there. Results of a post are put into `reply`.
    fn next(&mut self, reply: &mut PostReply) -> Result<Option<Told>, BenchError>;
    /// Bytes sent and received.
    fn bytes(&self) -> (u64, u64);
}

impl Link for Pipeline {
    fn post(
        &mut self,
        form: PostForm,
        rows: u32,
        slot: u32,
        fill: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), BenchError> {
        self.queue_with(form, rows, false, slot, fill)?;
        Ok(())
    }

    fn look_up(&mut self, ids: &[u128], slot: u32) -> Result<(), BenchError> {
        self.queue_accounts(ids, slot)?;
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), BenchError> {
        Ok(Pipeline::flush(self).await?)
    }

    async fn receive(&mut self) -> Result<(), BenchError> {
        Ok(Pipeline::receive(self).await?)
    }

    fn next(&mut self, reply: &mut PostReply) -> Result<Option<Told>, BenchError> {
        let Some(answer) = self.next_reply()? else { return Ok(None) };
        let found = match answer.operation {
            Operation::LookUpAccounts => Some(answer.accounts()?.iter().flatten().count()),
            _ => {
                answer.results(reply)?;
                None
            }
        };
        Ok(Some(Told { slot: answer.tag, found }))
    }

    fn bytes(&self) -> (u64, u64) {
        Pipeline::bytes(self)
    }
}
