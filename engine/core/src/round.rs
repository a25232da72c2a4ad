//! A round: items sequenced together, with their effects per account and their postings.
//!
//! It is made once by the coordinator, shared read-only with the shards, and never changed. An item that is refused before
//! any account is looked at carries its refusal and has no effects. Effects and postings of a plain transfer, a post between
//! two accounts, stand in its row of the request and are read there; those of other items are stored here.

use std::ops::Range;
use std::sync::Arc;

use crate::account::{AccountKey, Effect, EntryResult, HeldResult};
use crate::asset::Assets;
use crate::link::{Link, NamedPosting, PostingName};
use crate::outcome::Outcome;
use crate::request::{ItemKind, ItemView, PostRequest, Postings, Side, TransferRow};

/// Outcome of an item, and which posting's account refused.
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

    /// Refused as a whole.
    pub fn refused(outcome: Outcome) -> Decision {
        Decision { outcome, detail: 0 }
    }

    /// Whether it posts.
    pub fn is_posted(self) -> bool {
        self.outcome == Outcome::Posted
    }
}

/// Where an item of a round comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// From a client.
    Request {
        /// Index into [`Round::requests`].
        request: u32,
        /// Index within the request.
        item: u32,
    },
    /// From the engine: a hold's time is over.
    Expiry,
}

/// An item of a round: half a cache line. What plain transfers do not need is apart.
#[derive(Clone, Copy, Debug)]
pub struct RoundItem {
    /// Index of its request in [`Round::requests`], or [`BY_ENGINE`].
    request: u32,
    /// Index within the request.
    item: u32,
    /// Number of its first effect among all of the round.
    first_effect: u32,
    /// Number of its first posting among all of the round.
    first_posting: u32,
    /// What is stored for it, in [`Round::stored`]; or [`PLAIN`]: a post between two accounts, whose effects and postings are read
    /// in its row.
    stored: u32,
    /// How many effects.
    pub effects: u8,
    /// How many postings.
    pub postings: u8,
    /// Kind.
    pub kind: ItemKind,
    /// Whether limits and freezes are skipped.
    pub forced: bool,
    /// Whether it frees all that it leaves of a hold.
    pub is_final: bool,
    /// Whether it stands for all that is left of a hold, or a whole original.
    pub takes_all: bool,
    /// Accounting date, days since 1970-01-01; 0 = the UTC date of booked-at.
    pub open_day: u16,
    /// Its refusal, if it was refused as a whole.
    pub refused: Option<Outcome>,
}

const _: () = assert!(size_of::<RoundItem>() <= 32);

/// Stands for the request of an item that the engine makes.
const BY_ENGINE: u32 = u32::MAX;
/// Stands for what is stored for a plain transfer.
const PLAIN: u32 = u32::MAX;

/// What is stored for an item that is not a plain transfer.
#[derive(Clone, Copy, Debug)]
struct Stored {
    /// First of its effects in [`Round::effects`].
    effects_from: u32,
    /// First of its postings in [`Round::postings`].
    postings_from: u32,
    /// First of its results in [`Results::held`], if it is not a post.
    held_from: u32,
    /// What it names, in [`Round::links`]; `u32::MAX` = nothing.
    link: u32,
}

impl RoundItem {
    /// Where it comes from.
    pub fn source(&self) -> Source {
        match self.request {
            BY_ENGINE => Source::Expiry,
            request => Source::Request { request, item: self.item },
        }
    }
}

/// A posting of a round.
#[derive(Clone, Copy, Debug)]
pub struct RoundPosting {
    /// Minor units; 0 = what is left, or nothing.
    pub amount: u128,
    /// Which effect of its item its account has.
    pub effect: u8,
    /// Debit or credit.
    pub side: Side,
    /// Its index: in the hold or original if the item names one.
    pub index: u8,
}

/// Items sequenced together.
#[derive(Debug, Default)]
pub struct Round {
    /// Number of the round, and of its frame.
    pub number: u64,
    /// Sequence number of the first item.
    pub first_sequence: u64,
    /// Booked-at of the first item, nanoseconds since 1970-01-01 UTC; one more for each further one.
    pub booked_at: u64,
    /// The requests that its items come from.
    pub requests: Vec<Arc<PostRequest>>,
    /// Its items in sequence order.
    pub items: Vec<RoundItem>,
    /// What is stored for those that are not plain transfers, in order.
    stored: Vec<Stored>,
    /// Effects on accounts, in order of item and first mention, of items that are not plain transfers.
    effects: Vec<Effect>,
    /// Postings in order, of items that are not plain transfers.
    postings: Vec<RoundPosting>,
    /// The shard of each effect; empty if there is one shard only.
    homes: Vec<u8>,
    /// How many effects there are.
    effect_count: u32,
    /// How many postings there are.
    posting_count: u32,
    /// Holds and originals that items name.
    pub links: Vec<Link>,
    /// How many postings belong to items that are not posts.
    pub held: u32,
}

const NO_LINK: u32 = u32::MAX;

/// What the round must know of an item beside its postings.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// Where it comes from.
    pub source: Source,
    /// The tenant.
    pub institution: u32,
    /// Its open day, 0 = none set.
    pub open_day: u16,
}

impl Round {
    /// An empty round with memory for as many items.
    pub fn with_capacity(items: usize) -> Round {
        Round { items: Vec::with_capacity(items), ..Round::default() }
    }

    /// How many postings.
    pub fn posting_count(&self) -> usize {
        self.posting_count as usize
    }

    /// The numbers of an item's effects among all of the round.
    pub fn effects_of(&self, item: &RoundItem) -> Range<usize> {
        let from = item.first_effect as usize;
        from..from + usize::from(item.effects)
    }

    /// Where the results of an item's postings are, in [`Results::entries`].
    pub fn entries_of(&self, item: &RoundItem) -> Range<usize> {
        let from = item.first_posting as usize;
        from..from + usize::from(item.postings)
    }

    /// Where the results of an item's postings on holds or originals are, in [`Results::held`]; empty for a post.
    pub fn held_of(&self, item: &RoundItem) -> Range<usize> {
        match item.kind {
            ItemKind::Post => 0..0,
            _ => {
                let from = self.stored_of(item).held_from as usize;
                from..from + usize::from(item.postings)
            }
        }
    }

    #[inline]
    fn stored_of(&self, item: &RoundItem) -> &Stored {
        &self.stored[item.stored as usize]
    }

    /// Which effect of an item the account of each of its postings has.
    #[inline]
    pub fn effect_of_posting(&self, item: &RoundItem, n: usize) -> usize {
        match item.stored {
            PLAIN => n,
            stored => usize::from(self.postings[self.stored[stored as usize].postings_from as usize + n].effect),
        }
    }

    /// The row of a plain transfer and its request; none for other items.
    #[inline(always)]
    pub fn plain(&self, item: &RoundItem) -> Option<(&PostRequest, &TransferRow)> {
        if item.stored != PLAIN {
            return None;
        }
        let request = &*self.requests[item.request as usize];
        Some((request, request.transfer(item.item as usize)))
    }

    /// The account of an item's `n`-th effect.
    #[inline]
    pub fn key(&self, item: &RoundItem, n: usize) -> AccountKey {
        if let Some((PostRequest { institution, .. }, row)) = self.plain(item) {
            let account = if n == 0 { row.debit.get() } else { row.credit.get() };
            return AccountKey { institution: *institution, account };
        }
        self.effects[self.stored_of(item).effects_from as usize + n].key()
    }

    /// An item's `n`-th effect.
    #[inline(always)]
    pub fn effect(&self, item: &RoundItem, n: usize) -> Effect {
        if let Some((request, row)) = self.plain(item) {
            return plain_effect(request, row, n);
        }
        self.effects[self.stored_of(item).effects_from as usize + n]
    }

    /// An item's effects in order.
    pub fn effects(&self, item: &RoundItem) -> impl Iterator<Item = Effect> {
        (0..usize::from(item.effects)).map(|n| self.effect(item, n))
    }

    /// The shard of an item's `n`-th effect.
    #[inline]
    pub fn home(&self, item: &RoundItem, n: usize) -> u8 {
        self.homes.get(item.first_effect as usize + n).copied().unwrap_or(0)
    }

    /// The shard of each of an item's effects; empty if there is one shard only.
    #[inline]
    pub fn homes_of(&self, item: &RoundItem) -> &[u8] {
        self.homes.get(self.effects_of(item)).unwrap_or_default()
    }

    /// Which of an item's effects are at a shard, of several shards.
    #[inline]
    pub fn effects_at(&self, item: &RoundItem, shard: u8) -> impl Iterator<Item = usize> + Clone {
        let homes = self.homes_of(item);
        (0..homes.len()).filter(move |&n| homes[n] == shard)
    }

    /// An item's `n`-th posting.
    #[inline]
    pub fn posting(&self, item: &RoundItem, n: usize) -> RoundPosting {
        if let Some((_, row)) = self.plain(item) {
            let side = if n == 0 { Side::Debit } else { Side::Credit };
            return RoundPosting { amount: row.amount.get(), effect: n as u8, side, index: n as u8 };
        }
        self.postings[self.stored_of(item).postings_from as usize + n]
    }

    /// An item's postings in order.
    pub fn postings(&self, item: &RoundItem) -> impl Iterator<Item = RoundPosting> {
        (0..usize::from(item.postings)).map(|n| self.posting(item, n))
    }

    /// An item's postings on the account of its `n`-th effect.
    pub fn postings_on(&self, item: &RoundItem, n: usize) -> impl Iterator<Item = RoundPosting> {
        self.postings(item).filter(move |posting| usize::from(posting.effect) == n)
    }

    /// What an item names.
    pub fn link(&self, item: &RoundItem) -> Option<&Link> {
        if item.stored == PLAIN {
            return None;
        }
        self.links.get(self.stored_of(item).link as usize)
    }

    /// The name of what a posting of an item draws on; the item must name a hold or original.
    pub fn name(&self, item: &RoundItem, posting: &RoundPosting) -> PostingName {
        let link = self.link(item).expect("an item that names a hold or original");
        PostingName { target: link.target().sequence, index: posting.index }
    }

    /// The item as it was asked for; none for an expiry.
    pub fn view(&self, item: &RoundItem) -> Option<ItemView<'_>> {
        match item.source() {
            Source::Request { request, item } => Some(self.requests[request as usize].item(item as usize)),
            Source::Expiry => None,
        }
    }

    /// Booked-at of the item at a position.
    pub fn booked_at(&self, position: usize) -> u64 {
        self.booked_at + position as u64
    }

    #[inline]
    fn begin(&mut self, head: &Head, kind: ItemKind, view: Option<&ItemView<'_>>) -> &mut RoundItem {
        let stored = self.stored.len() as u32;
        self.stored.push(Stored {
            effects_from: self.effects.len() as u32,
            postings_from: self.postings.len() as u32,
            held_from: self.held,
            link: NO_LINK,
        });
        let (forced, takes_all) = (view.is_some_and(|v| v.forced()), view.is_some_and(|v| v.takes_all()));
        let is_final = match kind {
            ItemKind::Capture => view.is_some_and(|v| v.is_final()),
            ItemKind::Release | ItemKind::Expiry => true,
            _ => false,
        };
        self.items.push(RoundItem { kind, forced, is_final, takes_all, ..self.next_item(head, stored) });
        self.items.last_mut().expect("just pushed")
    }

    /// A post without effects.
    #[inline]
    fn next_item(&self, head: &Head, stored: u32) -> RoundItem {
        let (request, item) = match head.source {
            Source::Request { request, item } => (request, item),
            Source::Expiry => (BY_ENGINE, 0),
        };
        RoundItem {
            request,
            item,
            first_effect: self.effect_count,
            first_posting: self.posting_count,
            stored,
            effects: 0,
            postings: 0,
            kind: ItemKind::Post,
            forced: false,
            is_final: false,
            takes_all: false,
            open_day: head.open_day,
            refused: None,
        }
    }

    /// Adds a post or hold whose shape was checked, with the checks of the whole. `link`: the hold that it places.
    pub fn push(&mut self, head: &Head, view: &ItemView<'_>, link: Option<Link>, assets: &Assets, shards: usize) {
        let kind = view.kind.expect("an item whose shape was checked");
        let refused = check_whole(view, assets).err();
        if let Postings::Transfer(row) = view.postings
            && kind == ItemKind::Post
            && row.debit != row.credit
            && refused.is_none()
        {
            return self.push_plain(head, row, view.forced(), shards);
        }
        self.begin(head, kind, Some(view)).refused = refused;
        if let Some(link) = link {
            self.attach(link);
        }
        if refused.is_some() {
            return;
        }
        for at in 0..view.postings.count() {
            let posting = view.postings.get(at);
            let key = AccountKey { institution: head.institution, account: posting.account };
            self.add(key, posting.side, posting.amount, posting.asset, at as u8, shards);
        }
        self.end();
    }

    /// Adds a simple transfer ([`TransferRow::is_simple`]).
    #[inline]
    pub fn push_simple(&mut self, head: &Head, row: &TransferRow, assets: &Assets, shards: usize) {
        if assets.contains(row.asset.get()) {
            self.push_plain(head, row, false, shards);
        } else {
            self.begin(head, ItemKind::Post, None).refused = Some(Outcome::AssetUnknown);
        }
    }

    /// Adds a post between two accounts, which refers to its row for its effects and postings.
    #[inline]
    fn push_plain(&mut self, head: &Head, row: &TransferRow, forced: bool, shards: usize) {
        self.items.push(RoundItem { effects: 2, postings: 2, forced, ..self.next_item(head, PLAIN) });
        self.effect_count += 2;
        self.posting_count += 2;
        for account in [row.debit, row.credit].iter().filter(|_| shards > 1) {
            self.homes.push(AccountKey { institution: head.institution, account: account.get() }.home(shards));
        }
    }

    /// Adds an item that is refused for what it names, and never looks at an account.
    pub fn push_refused(&mut self, head: &Head, view: &ItemView<'_>, outcome: Outcome) {
        let kind = view.kind.expect("an item whose shape was checked");
        self.begin(head, kind, Some(view)).refused = Some(outcome);
    }

    /// Adds an item that names a hold or original: increase, capture, release, reverse (`view`), or expiry (none). `refused`: for
    /// what the link is, should it have been posted.
    pub fn push_named(
        &mut self,
        head: &Head,
        view: Option<&ItemView<'_>>,
        link: Link,
        refused: Option<Outcome>,
        shards: usize,
    ) {
        let kind = view.map_or(ItemKind::Expiry, |v| v.kind.expect("an item whose shape was checked"));
        self.begin(head, kind, view);
        let target = link.target().clone();
        self.attach(link);
        let asked =
            |p: &NamedPosting| view.and_then(|v| v.postings.iter().find(|a| a.index == p.index)).map(|a| a.amount);
        let named = || view.into_iter().flat_map(|v| v.postings.iter());
        let last = self.items.len() - 1;
        let refused = refused.or_else(|| {
            let unknown = named().any(|a| target.posting(a.index).is_none());
            let sum = |a: crate::request::Posting| target.posting(a.index).map(|p| (p.asset, p.side, a.amount));
            match unknown {
                true => Some(Outcome::PostingUnknown),
                false => (!is_balanced(named().filter_map(sum))).then_some(Outcome::Unbalanced),
            }
        });
        if refused.is_some() {
            self.items[last].refused = refused;
            return;
        }
        let (all, whole) = (self.items[last].is_final, self.items[last].takes_all && kind == ItemKind::Reverse);
        // Accounts are judged in the order in which the item names them; those that it only frees come last.
        let names = |p: &NamedPosting| whole || self.items[last].takes_all || asked(p).is_some();
        let (named, freed): (Vec<&NamedPosting>, Vec<&NamedPosting>) = target.postings.iter().partition(|p| names(p));
        for (posting, only_freed) in named.iter().map(|p| (p, false)).chain(freed.iter().map(|p| (p, true))) {
            if only_freed && !all {
                continue;
            }
            let key = AccountKey { institution: head.institution, account: posting.account };
            self.mention(key, posting.asset, posting.index, only_freed && kind == ItemKind::Capture, shards);
        }
        for posting in &target.postings {
            let amount = match asked(posting) {
                Some(amount) => amount,
                None if whole => posting.amount,
                None if all => 0,
                None => continue,
            };
            let side = if kind == ItemKind::Reverse { posting.side.opposite() } else { posting.side };
            let key = AccountKey { institution: head.institution, account: posting.account };
            self.add(key, side, amount, posting.asset, posting.index, shards);
        }
        self.end();
    }

    fn attach(&mut self, link: Link) {
        self.stored.last_mut().expect("an item was begun").link = self.links.len() as u32;
        self.links.push(link);
    }

    /// Which effect of the last item is on an account; made if there is none yet.
    fn mention(&mut self, key: AccountKey, asset: u32, index: u8, only_freed: bool, shards: usize) -> usize {
        let from = self.stored.last().expect("an item was begun").effects_from as usize;
        if let Some(found) = self.effects[from..].iter().position(|e| e.account == key.account) {
            return found;
        }
        if shards > 1 {
            self.homes.push(key.home(shards));
        }
        self.effects.push(Effect {
            account: key.account,
            debit: 0,
            credit: 0,
            institution: key.institution,
            asset,
            first_posting: index,
            assets_differ: false,
            only_freed,
        });
        self.effects.len() - 1 - from
    }

    /// Adds a posting to the last item.
    fn add(&mut self, key: AccountKey, side: Side, amount: u128, asset: u32, index: u8, shards: usize) {
        let effect = self.mention(key, asset, index, false, shards);
        let from = self.stored.last().expect("an item was begun").effects_from as usize;
        let total = &mut self.effects[from + effect];
        match side {
            Side::Debit => total.debit += amount as i128,
            Side::Credit => total.credit += amount as i128,
        }
        total.assets_differ |= asset != total.asset;
        self.postings.push(RoundPosting { amount, effect: effect as u8, side, index });
    }

    fn end(&mut self) {
        let (effects, postings) = (self.effects.len(), self.postings.len());
        let stored = self.stored.last().expect("an item was begun");
        let item = self.items.last_mut().expect("an item was begun");
        item.effects = (effects - stored.effects_from as usize) as u8;
        item.postings = (postings - stored.postings_from as usize) as u8;
        self.effect_count += u32::from(item.effects);
        self.posting_count += u32::from(item.postings);
        if item.kind != ItemKind::Post {
            self.held += u32::from(item.postings);
        }
    }
}

/// The `n`-th effect of a plain transfer.
#[inline(always)]
pub fn plain_effect(request: &PostRequest, row: &TransferRow, n: usize) -> Effect {
    let amount = row.amount.get() as i128;
    let (account, debit, credit) = if n == 0 { (row.debit, amount, 0) } else { (row.credit, 0, amount) };
    Effect {
        account: account.get(),
        debit,
        credit,
        institution: request.institution,
        asset: row.asset.get(),
        first_posting: n as u8,
        assets_differ: false,
        only_freed: false,
    }
}

/// Debits equal credits in each asset, and each asset is registered.
fn check_whole(view: &ItemView<'_>, assets: &Assets) -> Result<(), Outcome> {
    if let Postings::Transfer(row) = view.postings {
        return if assets.contains(row.asset.get()) { Ok(()) } else { Err(Outcome::AssetUnknown) };
    }
    if !is_balanced(view.postings.iter().map(|p| (p.asset, p.side, p.amount))) {
        return Err(Outcome::Unbalanced);
    }
    match view.postings.iter().all(|p| assets.contains(p.asset)) {
        true => Ok(()),
        false => Err(Outcome::AssetUnknown),
    }
}

/// Whether debits equal credits in each asset.
pub fn is_balanced(postings: impl Iterator<Item = (u32, Side, u128)>) -> bool {
    let mut totals: Vec<(u32, i128)> = Vec::with_capacity(4);
    for (asset, side, amount) in postings {
        let net = if side == Side::Debit { amount as i128 } else { -(amount as i128) };
        match totals.iter_mut().find(|(a, _)| *a == asset) {
            Some((_, total)) => *total += net,
            None => totals.push((asset, net)),
        }
    }
    totals.iter().all(|&(_, total)| total == 0)
}

/// Results of the postings of a round.
#[derive(Debug, Default)]
pub struct Results {
    /// A result per posting of the round; version 0 where no entry was made.
    pub entries: Vec<EntryResult>,
    /// A result per posting of an item that is not a post, in order.
    pub held: Vec<HeldResult>,
}

impl Results {
    /// Room for the results of a round.
    pub fn for_round(round: &Round) -> Results {
        Results {
            entries: vec![EntryResult::default(); round.posting_count()],
            held: vec![HeldResult::default(); round.held as usize],
        }
    }
}

/// A round with all that came of it.
#[derive(Clone, Debug)]
pub struct FinishedRound {
    /// The round.
    pub round: Arc<Round>,
    /// A decision per item.
    pub decisions: Arc<Vec<Decision>>,
    /// What the postings did.
    pub results: Arc<Results>,
}
