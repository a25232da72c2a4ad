//! A round: transactions sequenced together, taken apart into effects per account and postings.
//!
//! It is made once by the coordinator, shared read-only with the shards, and never changed. A transaction that is refused
//! before any account is looked at carries its refusal and has no effects.

use std::sync::Arc;

use crate::account::{AccountKey, Effect, EntryResult};
use crate::asset::Assets;
use crate::outcome::Outcome;
use crate::request::{PostRequest, Side, TransactionView};

/// Outcome of a transaction, and which posting's account refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decision {
    /// The outcome.
    pub outcome: Outcome,
    /// Index of the posting that first mentions the refusing account; 0 otherwise.
    pub detail: u16,
}

impl Decision {
    /// Every account said yes.
    pub const POSTED: Decision = Decision { outcome: Outcome::Posted, detail: 0 };

    /// Whether it posts.
    pub fn is_posted(self) -> bool {
        self.outcome == Outcome::Posted
    }
}

/// A transaction of a round.
#[derive(Clone, Copy, Debug)]
pub struct RoundTransaction {
    /// Index into [`Round::requests`].
    pub request: u32,
    /// Index within the request.
    pub item: u32,
    /// First of its effects in [`Round::effects`].
    pub effects_from: u32,
    /// First of its postings in [`Round::postings`].
    pub postings_from: u32,
    /// How many effects.
    pub effects: u8,
    /// How many postings.
    pub postings: u8,
    /// Its refusal, if it was refused as a whole.
    pub refused: Option<Outcome>,
}

/// A posting of a round.
#[derive(Clone, Copy, Debug)]
pub struct RoundPosting {
    /// Minor units.
    pub amount: u128,
    /// Index of its account's effect in [`Round::effects`].
    pub effect: u32,
    /// Debit or credit.
    pub side: Side,
}

/// Transactions sequenced together.
#[derive(Debug, Default)]
pub struct Round {
    /// Number of the round, and of its frame.
    pub number: u64,
    /// Sequence number of the first transaction.
    pub first_sequence: u64,
    /// Booked-at of the first transaction, nanoseconds since 1970-01-01 UTC; one more for each further one.
    pub booked_at: u64,
    /// The requests that its transactions come from.
    pub requests: Vec<Arc<PostRequest>>,
    /// Its transactions in sequence order.
    pub transactions: Vec<RoundTransaction>,
    /// Effects on accounts, in order of transaction and first mention.
    pub effects: Vec<Effect>,
    /// The shard of each effect.
    pub homes: Vec<u8>,
    /// Postings in order.
    pub postings: Vec<RoundPosting>,
}

impl Round {
    /// An empty round with memory for as many transfers.
    pub fn with_capacity(transfers: usize) -> Round {
        Round {
            transactions: Vec::with_capacity(transfers),
            effects: Vec::with_capacity(transfers * 2),
            homes: Vec::with_capacity(transfers * 2),
            postings: Vec::with_capacity(transfers * 2),
            ..Round::default()
        }
    }

    /// The effects of a transaction.
    pub fn effects_of(&self, transaction: &RoundTransaction) -> std::ops::Range<usize> {
        let from = transaction.effects_from as usize;
        from..from + usize::from(transaction.effects)
    }

    /// The postings of a transaction.
    pub fn postings_of(&self, transaction: &RoundTransaction) -> std::ops::Range<usize> {
        let from = transaction.postings_from as usize;
        from..from + usize::from(transaction.postings)
    }

    /// The transaction as it was asked for.
    pub fn view(&self, transaction: &RoundTransaction) -> TransactionView<'_> {
        self.requests[transaction.request as usize].transaction(transaction.item as usize)
    }

    /// Adds a transaction whose shape was checked, with the checks of the transaction as a whole: item `item` of the request
    /// at index `request`.
    pub fn push(&mut self, (request, item): (u32, u32), view: &TransactionView<'_>, assets: &Assets, shards: usize) {
        let institution = self.requests[request as usize].institution;
        let (effects_from, postings_from) = (self.effects.len(), self.postings.len());
        self.transactions.push(RoundTransaction {
            request,
            item,
            effects_from: effects_from as u32,
            postings_from: postings_from as u32,
            effects: 0,
            postings: 0,
            refused: check_whole(view, assets).err(),
        });
        let last = self.transactions.len() - 1;
        if self.transactions[last].refused.is_some() {
            return;
        }
        for index in 0..view.postings.count() {
            let posting = view.postings.get(index);
            let key = AccountKey { institution, account: posting.account };
            let net = if posting.side == Side::Debit { posting.amount as i128 } else { -(posting.amount as i128) };
            let found = self.effects[effects_from..].iter().position(|e| e.key == key);
            let effect = effects_from + found.unwrap_or(self.effects.len() - effects_from);
            if found.is_none() {
                self.homes.push(key.home(shards));
                self.effects.push(Effect {
                    key,
                    net_debit: 0,
                    asset: posting.asset,
                    first_posting: index as u8,
                    debits: false,
                    credits: false,
                    assets_differ: false,
                });
            }
            let total = &mut self.effects[effect];
            total.net_debit += net;
            total.debits |= posting.side == Side::Debit;
            total.credits |= posting.side == Side::Credit;
            total.assets_differ |= posting.asset != total.asset;
            self.postings.push(RoundPosting { amount: posting.amount, effect: effect as u32, side: posting.side });
        }
        self.transactions[last].effects = (self.effects.len() - effects_from) as u8;
        self.transactions[last].postings = (self.postings.len() - postings_from) as u8;
    }
}

/// Debits equal credits in each asset, and each asset is registered.
fn check_whole(view: &TransactionView<'_>, assets: &Assets) -> Result<(), Outcome> {
    if let crate::request::Postings::Transfer(row) = view.postings {
        return if assets.contains(row.asset.get()) { Ok(()) } else { Err(Outcome::AssetUnknown) };
    }
    let mut totals: Vec<(u32, i128)> = Vec::with_capacity(4);
    for posting in view.postings.iter() {
        let net = if posting.side == Side::Debit { posting.amount as i128 } else { -(posting.amount as i128) };
        match totals.iter_mut().find(|(asset, _)| *asset == posting.asset) {
            Some((_, total)) => *total += net,
            None => totals.push((posting.asset, net)),
        }
    }
    if totals.iter().any(|&(_, total)| total != 0) {
        return Err(Outcome::Unbalanced);
    }
    if totals.iter().any(|&(asset, _)| !assets.contains(asset)) {
        return Err(Outcome::AssetUnknown);
    }
    Ok(())
}

/// A round with all that came of it.
#[derive(Debug)]
pub struct FinishedRound {
    /// The round.
    pub round: Arc<Round>,
    /// A decision per transaction.
    pub decisions: Arc<Vec<Decision>>,
    /// A result per posting of [`Round::postings`]; zeros where the transaction was refused.
    pub results: Vec<EntryResult>,
}
