//! A reply as a client meets it. What is decoded says the same once a server has encoded it again.

use florin_engine::Reply;
use florin_net::codec::hello::HelloReply;
use florin_net::codec::replies::{self, Asked};
use florin_net::codec::{self, ReplyError};
use florin_net::header::{ERROR, Header, Operation, REPLY_BIT, WANT_POSTINGS};
use florin_net::limits::HEADER_BYTES;

use super::{Target, Verdict, request, vectors};
use crate::rng::Rng;

/// This target: a whole frame.
pub const TARGET: Target = Target { name: "reply", check, sample, repair: request::repair, seeds: 200_000 };

/// Decodes one frame.
pub fn check(bytes: &[u8]) -> Verdict {
    let Some((front, payload)) = bytes.split_first_chunk::<HEADER_BYTES>() else { return Verdict::Refused };
    let Ok(header) = Header::decode(front) else { return Verdict::Refused };
    assert_eq!(header.encode(), *front, "a header has one form");
    let operation = Operation::from_byte(header.operation & !REPLY_BIT);
    if header.length as usize != payload.len() || header.check_payload(payload).is_err() {
        return Verdict::Refused;
    }
    if header.flags & ERROR != 0 {
        return if codec::errors::decode(payload).is_ok() { Verdict::Accepted } else { Verdict::Refused };
    }
    let Some(operation) = operation else { return Verdict::Refused };
    let Ok(Some(reply)) = decode(operation, header.count, payload) else { return Verdict::Refused };
    let flags = header.flags & WANT_POSTINGS;
    let asked = Asked { operation, flags, institution: header.institution, request: header.request };
    let mut again = Vec::new();
    replies::append(&mut again, &asked, &reply);
    let (front, written) = again.split_first_chunk::<HEADER_BYTES>().expect("a whole frame");
    let header = Header::decode(front).expect("a header that was just written");
    header.check_payload(written).expect("a payload that was just written");
    assert_eq!((header.operation, header.request), (operation as u8 | REPLY_BIT, asked.request));
    // A client does not look at reserved bytes and flags, nor at what stands behind a text; a server writes zeros there.
    assert_eq!(written.len(), payload.len());
    assert!(written.iter().zip(payload).all(|(new, old)| new & !old == 0));
    let same = decode(operation, header.count, written).expect("a reply that was just written");
    assert_eq!(format!("{:?}", Some(reply)), format!("{same:?}"));
    Verdict::Accepted
}

/// The reply as the engine would have given it; none for a hello and for what the client does not take apart.
fn decode(operation: Operation, count: u32, payload: &[u8]) -> Result<Option<Reply>, ReplyError> {
    Ok(Some(match operation {
        Operation::Hello => {
            HelloReply::decode(payload)?;
            return Ok(None);
        }
        Operation::Ping | Operation::Stats => return Ok(None),
        Operation::OpenAccounts
        | Operation::PostTransfers
        | Operation::PostItems
        | Operation::Control
        | Operation::ChangeAccounts => {
            let reply = codec::posts::decode(count, payload)?;
            let last = reply.items().last();
            assert!(reply.items().count() == reply.count() && last.is_some() == (reply.count() > 0));
            Reply::Posted(reply)
        }
        Operation::LookUpAccounts => {
            let (accounts, position) = codec::accounts::decode(count, payload)?;
            Reply::Accounts { accounts, position }
        }
        Operation::ListAccounts => {
            let (accounts, position) = codec::accounts::decode_page(count, payload)?;
            Reply::AccountPage { accounts, position }
        }
        Operation::LookUpTransactions => {
            let (transactions, position) = codec::transactions::decode(count, payload)?;
            Reply::Transactions { transactions, position }
        }
        Operation::Statement => Reply::Statement(codec::statements::decode(count, payload)?.map(Box::new)),
        Operation::BalanceAt => Reply::BalanceAt(codec::balances::decode(count, payload)?),
        Operation::ByReference | Operation::Linked | Operation::Watch => {
            Reply::TransactionPage(codec::transactions::decode_page(count, payload)?)
        }
        Operation::Institutions => Reply::Institutions(codec::institutions::decode(count, payload)?),
        Operation::Snapshot => Reply::Snapshot(codec::snapshots::decode(count, payload)?),
        Operation::Assets => Reply::Assets(codec::assets::decode(count, payload)?),
    }))
}

/// The published replies that a client takes apart.
fn sample(rng: &mut Rng) -> Vec<u8> {
    thread_local! {
        static REPLIES: Vec<Vec<u8>> = {
            let vectors = vectors::parse(vectors::PROTOCOL).into_iter();
            let is_taken_apart = |name: &str| name.ends_with(".reply") && !name.starts_with("hello") && !name.starts_with("ping");
            vectors.filter(|(name, _)| is_taken_apart(name)).map(|(_, bytes)| bytes).collect()
        };
    }
    REPLIES.with(|replies| replies[rng.below(replies.len())].clone())
}
