//! Replies: from what the engine answered to a whole frame.

use florin_core::entry::PostReply;
use florin_engine::Reply;

use super::{accounts, assets, balances, errors, institutions, posts, snapshots, statements, transactions};
use crate::error::{ErrorCode, ProtocolError};
use crate::frame;
use crate::header::{Header, Operation, REPLY_BIT, WANT_POSTINGS};
use crate::limits::{HEADER_BYTES, REPLY_BYTES_MAX};

/// What a reply must repeat of its request.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// The operation.
    pub operation: Operation,
    /// [`WANT_POSTINGS`] or nothing.
    pub flags: u16,
    /// The tenant.
    pub institution: u32,
    /// The number.
    pub request: u64,
}

impl Asked {
    /// Header of the reply, without what depends on the payload.
    pub fn header(&self) -> Header {
        Header {
            operation: self.operation as u8 | REPLY_BIT,
            flags: self.flags & WANT_POSTINGS,
            institution: self.institution,
            request: self.request,
            ..Header::default()
        }
    }
}

/// Appends the frame of a reply to a post.
pub fn append_posted(out: &mut Vec<u8>, asked: &Asked, reply: &PostReply) {
    frame::append(out, asked.header(), |out, header| {
        header.count = reply.runs.len() as u32;
        posts::encode(reply, out);
    });
}

/// Appends the frame of a reply.
pub fn append(out: &mut Vec<u8>, asked: &Asked, reply: &Reply) {
    let start = out.len();
    let failure = frame::append(out, asked.header(), |out, header| {
        match reply {
            Reply::Posted(reply) => {
                header.count = reply.runs.len() as u32;
                if !posts::postings_fit(reply) {
                    header.flags &= !WANT_POSTINGS;
                }
                posts::encode(reply, out);
            }
            Reply::Accounts { accounts, position } => {
                header.count = accounts::encode(accounts.iter().map(Option::as_ref), *position, out);
            }
            Reply::AccountPage { accounts, position } => {
                header.count = accounts::encode(accounts.iter().map(Some), *position, out);
            }
            Reply::Transactions { transactions, position } => {
                header.count = transactions::encode(transactions, *position, out);
            }
            Reply::TransactionPage(page) => header.count = transactions::encode_page(page, out),
            Reply::BalanceAt(None) | Reply::Statement(None) => {}
            Reply::BalanceAt(Some(balance)) => {
                header.count = 1;
                balances::encode(balance, out);
            }
            Reply::Statement(Some(page)) => {
                header.count = page.entries.len() as u32;
                statements::encode(page, out);
            }
            Reply::Assets(assets) => {
                header.count = assets.len() as u32;
                assets::encode(assets, out);
            }
            Reply::Institutions(institutions) => {
                header.count = institutions.len() as u32;
                institutions::encode(institutions, out);
            }
            Reply::Stats(stats) => {
                if let Err(error) = serde_json::to_writer(&mut *out, stats) {
                    return Some(ProtocolError::new(ErrorCode::HistoryUnreadable, error.to_string()));
                }
            }
            Reply::Snapshot(None) => {}
            Reply::Snapshot(Some(report)) => {
                header.count = 1;
                snapshots::encode(report, out);
            }
            Reply::SnapshotFailed(why) => {
                let message = format!("no snapshot could be made: {why}");
                return Some(ProtocolError::new(ErrorCode::SnapshotFailed, message));
            }
            Reply::ForeignToken => {
                let message = "the paging token is not of this account; begin the statement without one";
                return Some(ProtocolError::new(ErrorCode::ForeignToken, message));
            }
            Reply::InstitutionUnknown => {
                let message =
                    format!("institution {} is not registered; register it, or ask as another", asked.institution);
                return Some(ProtocolError::new(ErrorCode::InstitutionUnknown, message));
            }
            Reply::PositionUnknown(last) => {
                let message = format!(
                    "the position is beyond the last row, {last}: it is of another ledger, or from before this one was restored"
                );
                return Some(ProtocolError::new(ErrorCode::PositionUnknown, message));
            }
            Reply::Stopping => {
                let message = "the server is stopping; ask again once it is back";
                return Some(ProtocolError::new(ErrorCode::Stopping, message));
            }
            Reply::Failed(message) => {
                return Some(ProtocolError::new(ErrorCode::HistoryUnreadable, message.clone()));
            }
        }
        let bytes = out.len() - start - HEADER_BYTES;
        (bytes > REPLY_BYTES_MAX).then(|| {
            let message = format!("the answer has {bytes} bytes, the limit is {REPLY_BYTES_MAX}; ask for less");
            ProtocolError::new(ErrorCode::ReplyTooLarge, message)
        })
    });
    if let Some(error) = failure {
        out.truncate(start);
        errors::append(out, asked.operation as u8, asked.request, &error);
    }
}
