//! Items: the checks in their published order, and what they do when nothing refuses them.

use std::collections::BTreeMap;

use num_bigint::BigInt;

use super::account::Movement;
use super::item::*;
use super::number::*;
use super::reversals::Original;
use super::{Deed, Entry, Model, Verdict, differs, refused, shape};

/// An outcome and its detail.
pub(super) type Refusal = (u16, u16);

/// A posting as an item means it: with the account, side and asset that it names itself, or that the hold or original
/// has at its index. The side is that of the entry, so in a reversal the opposite one of the original's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Part {
    pub index: usize,
    pub account: u128,
    pub side: u8,
    pub amount: BigInt,
    pub asset: u32,
}

impl Model {
    /// Runs an item. The entries are those that it makes, the original ones for a repeat.
    pub fn run(&mut self, institution: u32, item: &Item) -> (Verdict, Vec<Entry>) {
        if let Some(wrong) = shape::item(item) {
            return (refused(wrong, 0), vec![]);
        }
        if !self.serves(institution) {
            return (refused(INSTITUTION_UNKNOWN, 0), vec![]);
        }
        if let Some(row) = self.recorded(institution, item.id) {
            return match &row.deed {
                Deed::Item(first) => row.repeated(differs::item(first, item)),
                _ => row.repeated(Some(field::KIND)),
            };
        }
        let judged = self.judge(institution, item);
        let (outcome, detail) = judged.as_ref().err().copied().unwrap_or((POSTED, 0));
        let verdict = self.book(outcome, detail);
        let entries = match judged {
            Ok(parts) => self.carry_out(institution, item, &parts, verdict),
            Err(_) => vec![],
        };
        self.record(institution, Deed::Item(item.clone()), verdict, entries.clone());
        (verdict, entries)
    }

    /// Why a well-formed item with a new id is refused, or the postings that it means.
    fn judge(&self, institution: u32, item: &Item) -> Result<Vec<Part>, Refusal> {
        let parts = match item.kind {
            POST | HOLD => own_parts(item),
            REVERSE => self.parts_of_original(institution, item)?,
            _ => self.parts_of_hold(institution, item)?,
        };
        if !is_balanced(&parts) {
            return Err((UNBALANCED, 0));
        }
        if parts.iter().any(|part| !self.assets.contains_key(&part.asset)) {
            return Err((ASSET_UNKNOWN, 0));
        }
        for (place, first) in parts.iter().enumerate() {
            if parts[..place].iter().any(|part| part.account == first.account) {
                continue;
            }
            let of_account: Vec<&Part> = parts.iter().filter(|part| part.account == first.account).collect();
            if let Some(outcome) = self.account_refusal(institution, item, &of_account) {
                return Err((outcome, first.index as u16));
            }
        }
        Ok(parts)
    }

    /// Why one account refuses its part of an item: the whole list of checks on the total effect.
    fn account_refusal(&self, institution: u32, item: &Item, parts: &[&Part]) -> Option<u16> {
        let Some(account) = self.account(institution, parts[0].account) else { return Some(ACCOUNT_UNKNOWN) };
        if parts.iter().any(|part| part.asset != account.opening.asset) {
            return Some(ACCOUNT_ASSET_DIFFERS);
        }
        if account.status == CLOSED {
            return Some(ACCOUNT_CLOSED);
        }
        if item.kind == CAPTURE {
            // What is captured passed the checks when it was reserved.
            return self.exceeds_hold(institution, item, parts);
        }
        let (debits, credits) = (total(parts, DEBIT), total(parts, CREDIT));
        if !item.forced {
            let refusal = account.frozen(debits > BigInt::ZERO, credits > BigInt::ZERO);
            if refusal.is_some() {
                return refusal;
            }
        }
        let (outgoing, incoming) =
            if account.opening.normal_side == DEBIT { (credits, debits) } else { (debits, credits) };
        let reserves = item.kind == HOLD || item.kind == INCREASE;
        let net = &incoming - &outgoing;
        let (available, gross) = if reserves { (-outgoing, incoming) } else { (net.clone(), net) };
        account
            .out_of_range(&available, &gross)
            .or_else(|| if item.forced { None } else { account.past_a_limit(&available, &gross) })
            .or_else(|| match item.kind {
                INCREASE => self.above_hold_max(institution, item, parts),
                REVERSE => self.exceeds_original(institution, item, parts),
                _ => None,
            })
    }

    /// Does what an item that nothing refuses does.
    fn carry_out(&mut self, institution: u32, item: &Item, parts: &[Part], verdict: Verdict) -> Vec<Entry> {
        let movements = match item.kind {
            POST => {
                self.originals.insert((institution, item.id), Original::new(parts));
                parts.iter().map(post).collect()
            }
            HOLD => self.place(institution, item, parts, verdict),
            INCREASE => self.increase(institution, item.link, parts),
            CAPTURE => {
                let captured: Vec<Part> = parts.iter().filter(|part| part.amount > BigInt::ZERO).cloned().collect();
                self.originals.insert((institution, item.id), Original::new(&captured));
                let is_final = item.is_final || item.postings.is_empty();
                self.take(institution, item.link, parts, is_final)
            }
            RELEASE => self.take(institution, item.link, &[], true),
            _ => self.reverse(institution, item.link, parts),
        };
        self.enter_all(institution, verdict.sequence, movements)
    }

    /// Makes an entry of each movement.
    pub(super) fn enter_all(&mut self, institution: u32, sequence: u64, movements: Vec<Movement>) -> Vec<Entry> {
        let mut entries = vec![];
        for (place, movement) in movements.into_iter().enumerate() {
            let account = self.accounts.get_mut(&(institution, movement.account)).expect("it was checked");
            entries.push(account.enter(sequence, place, movement));
        }
        entries
    }
}

/// The postings of a post or hold.
fn own_parts(item: &Item) -> Vec<Part> {
    let part = |(index, p): (usize, &Posting)| Part {
        index,
        account: p.account,
        side: p.side,
        amount: p.amount.into(),
        asset: p.asset,
    };
    item.postings.iter().enumerate().map(part).collect()
}

/// A posting that takes effect at once.
pub(super) fn post(part: &Part) -> Movement {
    Movement {
        account: part.account,
        index: part.index,
        side: part.side,
        posts: part.amount.clone(),
        amount: part.amount.clone(),
        ..Movement::default()
    }
}

/// Whether debits equal credits in each asset.
fn is_balanced(parts: &[Part]) -> bool {
    let mut sums: BTreeMap<u32, BigInt> = BTreeMap::new();
    for part in parts {
        *sums.entry(part.asset).or_default() += if part.side == DEBIT { part.amount.clone() } else { -&part.amount };
    }
    sums.values().all(|sum| *sum == BigInt::ZERO)
}

/// The sum of the amounts on a side.
fn total(parts: &[&Part], side: u8) -> BigInt {
    parts.iter().filter(|part| part.side == side).map(|part| &part.amount).sum()
}
