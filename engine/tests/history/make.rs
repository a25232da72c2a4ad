//! A seeded ledger through the real engine: everything that leaves a row, in requests of all sizes, over many segments.

use std::path::Path;

use florin_core::asset::Asset;
use florin_core::control::ControlRecord;
use florin_core::entry::RowKind;
use florin_core::request::*;
use florin_engine::{Command, Engine, EngineOptions, EngineStats, Reply, start};
use zerocopy::{FromZeros, IntoBytes};

/// Number of the asset.
pub const EUR: u32 = 978;
/// The institutions have accounts of the same numbers.
pub const INSTITUTIONS: [u32; 2] = [1, 2];
/// The first two are in most transactions, the last in hardly any.
pub const ACCOUNTS: std::ops::RangeInclusive<u128> = 1..=9;
/// Holds of each institution that expire.
const EXPIRING: usize = 3;
/// References in use; others are used once.
pub const REFERENCES: std::ops::RangeInclusive<u128> = 1..=4;

/// SplitMix64.
pub struct Rng(pub u64);

impl Rng {
    /// The next 64 bits.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.word() % bound as u64) as usize
    }

    /// True `percent` times in a hundred.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of the values.
    pub fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }
}

/// Starts an engine on a ledger.
pub async fn serve(data: &Path, shards: usize, build_indexes: bool) -> Engine {
    // An index of a packed segment has no offsets of frames, so its bytes would depend on when the segment was packed.
    let options = EngineOptions { shards, build_indexes, pack_segments: false, ..EngineOptions::new(data) };
    start(options).await.expect("a start").engine
}

/// The engine's figures.
pub async fn stats(engine: &Engine) -> EngineStats {
    match engine.call(Command::Stats).await {
        Reply::Stats(stats) => *stats,
        other => panic!("expected stats, got {other:?}"),
    }
}

/// Makes rows, and remembers what they may name.
pub struct Maker {
    /// The draws.
    pub rng: Rng,
    next_id: u128,
    ids: Vec<(u32, u128, ItemKind)>,
    day: [u16; 2],
}

type Item = (ItemRow, Vec<PostingRow>, Vec<u8>);

impl Maker {
    /// A maker of a seed.
    pub fn new(seed: u64) -> Maker {
        Maker { rng: Rng(seed), next_id: 1, ids: Vec::new(), day: [21_000, 21_000] }
    }

    fn id(&mut self) -> u128 {
        self.next_id += 1;
        // Spread over all bits, as clients' ids are.
        self.next_id.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835) | 1
    }

    fn account(&mut self) -> u128 {
        if self.rng.chance(60) { self.rng.pick(&[1, 2]) } else { self.rng.pick(&[1, 2, 3, 4, 5, 6, 7, 8]) }
    }

    /// Assets, institutions and accounts. The last account gets one entry now and one at the end of everything.
    pub async fn prepare(&mut self, engine: &Engine) {
        let euro = ControlRecord::register(&Asset { number: EUR, code: "EUR".into(), scale: 2 });
        self.control(engine, 1, euro).await;
        self.control(engine, 1, ControlRecord::institution(2, "Other")).await;
        for institution in INSTITUTIONS {
            let rows: Vec<AccountRow> = ACCOUNTS
                .map(|account| {
                    let mut row = AccountRow::new_zeroed();
                    (row.account, row.asset, row.normal_side) = (account.into(), EUR.into(), (account % 2) as u8);
                    row.limit_flags = if account < 7 { NO_FLOOR } else { 0 };
                    row
                })
                .collect();
            let request = OpenRequest::parse(institution, 0, rows.len() as u32, rows.as_bytes().to_vec().into());
            engine.call(Command::Open(request.expect("rows"))).await;
        }
        self.quiet(engine).await;
        for institution in INSTITUTIONS {
            for _ in 0..EXPIRING {
                let id = self.id();
                let mut item = self.post(institution, id, &[(2, Side::Debit, 8), (3, Side::Credit, 8)]);
                (item.0.kind, item.0.timeout) = (ItemKind::Hold as u8, 1.into());
                self.send(engine, institution, vec![item]).await;
            }
        }
    }

    /// Waits until what was to expire has, so that nothing happens to the ledger any more by itself.
    pub async fn settle(&mut self, engine: &Engine) {
        for institution in INSTITUTIONS {
            let (mut after, mut expired) = (0, 0);
            while expired < EXPIRING {
                let watch = Command::Watch { institution, after, limit: 1_000, wait_ms: 60_000 };
                let Reply::TransactionPage(page) = engine.call(watch).await else { panic!("no page") };
                expired += page.transactions.iter().filter(|t| t.kind == RowKind::Expiry).count();
                after = page.seen;
            }
        }
    }

    /// An entry on the accounts that have hardly any.
    pub async fn quiet(&mut self, engine: &Engine) {
        for institution in INSTITUTIONS {
            let id = self.id();
            let item = self.post(institution, id, &[(1, Side::Debit, 5), (9, Side::Credit, 5)]);
            self.send(engine, institution, vec![item]).await;
        }
    }

    async fn control(&mut self, engine: &Engine, institution: u32, record: ControlRecord) {
        let id = self.id();
        let request = ControlRequest { institution, principal: 0, id, record: record.canonical().into() };
        engine.call(Command::Control(request)).await;
    }

    /// Sends so many requests.
    pub async fn run(&mut self, engine: &Engine, requests: usize) {
        for _ in 0..requests {
            let institution = self.rng.pick(&INSTITUTIONS);
            match self.rng.below(100) {
                0..3 => {
                    let at = (institution - 1) as usize;
                    self.day[at] += self.rng.below(4) as u16;
                    self.control(engine, institution, ControlRecord::open_day(self.day[at])).await;
                }
                3..9 => self.change(engine, institution).await,
                9..45 => self.transfers(engine, institution).await,
                _ => {
                    let count = self.rng.pick(&[1, 1, 1, 2, 5, 40]);
                    let items = (0..count).map(|_| self.item(institution)).collect();
                    self.send(engine, institution, items).await;
                }
            }
        }
    }

    async fn change(&mut self, engine: &Engine, institution: u32) {
        let mut row = ChangeRow::new_zeroed();
        (row.id, row.account) = (self.id().into(), self.account().into());
        let mut data = Vec::new();
        if self.rng.chance(50) {
            (row.action, row.status) = (Action::Status as u8, self.rng.pick(&[0, 0, 1, 2]));
        } else {
            row.action = Action::Label as u8;
            data = format!("label {}", self.rng.below(1_000)).into_bytes();
        }
        let reason = "because".as_bytes();
        (row.reason_length, row.data_length) = ((reason.len() as u16).into(), (data.len() as u16).into());
        let payload = [row.as_bytes(), reason, &data].concat();
        let request = ChangeRequest::parse(institution, 0, 1, payload.into()).expect("a row");
        engine.call(Command::Change(request)).await;
    }

    async fn transfers(&mut self, engine: &Engine, institution: u32) {
        let mut rows = Vec::new();
        for _ in 0..self.rng.pick(&[1, 1, 3, 30, 100]) {
            let mut row = TransferRow::new_zeroed();
            (row.id, row.asset, row.kind) = (self.id().into(), EUR.into(), self.rng.pick(&[0, 0, 0, 1]));
            (row.debit, row.credit) = (self.account().into(), self.account().into());
            row.amount = (1 + self.rng.below(50) as u128).into();
            row.reference = self.rng.pick(&[0, 0, 1, 4]).into();
            let kind = if row.kind == 0 { ItemKind::Post } else { ItemKind::Hold };
            self.ids.push((institution, row.id.get(), kind));
            rows.push(row);
        }
        let payload = rows.as_bytes().to_vec().into();
        let request = PostRequest::parse(institution, 0, PostForm::Transfers, rows.len() as u32, payload);
        let command = Command::Post { request: request.expect("rows"), want_postings: false };
        assert!(matches!(engine.call(command).await, Reply::Posted(_)));
    }

    fn item(&mut self, institution: u32) -> Item {
        use ItemKind::*;
        let kind = self.rng.pick(&[Post, Post, Post, Post, Hold, Increase, Capture, Capture, Release, Reverse]);
        let id = self.id();
        // What was never placed, or refused, or is another institution's is named too, and refused.
        let wanted = |&(_, _, of): &(u32, u128, ItemKind)| match kind {
            Reverse => of == Post || of == Capture,
            _ => of == Hold,
        };
        let named: Vec<u128> = self.ids.iter().rev().take(300).filter(|x| wanted(x)).map(|x| x.1).collect();
        let link = if named.is_empty() { 3 } else { self.rng.pick(&named) };
        let amount = 1 + self.rng.below(50) as u128;
        let by_index = |amount| vec![(0, Side::Debit, amount), (1, Side::Debit, amount)];
        let mut item = match kind {
            Post | Hold => {
                let mut postings = vec![(self.account(), Side::Debit, amount), (self.account(), Side::Credit, amount)];
                for _ in 0..self.rng.pick(&[0, 0, 0, 1, 3]) {
                    postings.push((self.account(), Side::Debit, 3));
                    postings.push((self.account(), Side::Credit, 3));
                }
                let mut item = self.post(institution, id, &postings);
                item.0.kind = kind as u8;
                if self.rng.chance(10) {
                    item.0.link = link.into();
                }
                item
            }
            Increase => self.named(id, kind, link, &by_index(amount)),
            Capture | Reverse if self.rng.chance(70) => self.named(id, kind, link, &by_index(1 + amount / 4)),
            Release | Capture | Reverse | Expiry => self.named(id, kind, link, &[]),
        };
        if self.rng.chance(30) {
            item.0.reference = self.rng.pick(&REFERENCES.collect::<Vec<_>>()).into();
        } else if self.rng.chance(50) {
            item.0.reference = (id ^ 77).into();
        }
        self.ids.push((institution, id, kind));
        item
    }

    fn post(&mut self, institution: u32, id: u128, postings: &[(u128, Side, u128)]) -> Item {
        let mut item = self.named(id, ItemKind::Post, 0, &[]);
        item.1 = postings
            .iter()
            .map(|&(account, side, amount)| {
                let mut row = PostingRow::new_zeroed();
                (row.account, row.amount, row.asset, row.side) =
                    (account.into(), amount.into(), EUR.into(), side as u8);
                row
            })
            .collect();
        item.0.posting_count = (item.1.len() as u16).into();
        item.0.code = (institution as u16).into();
        item
    }

    fn named(&mut self, id: u128, kind: ItemKind, link: u128, postings: &[(u8, Side, u128)]) -> Item {
        let mut row = ItemRow::new_zeroed();
        (row.id, row.kind, row.link) = (id.into(), kind as u8, link.into());
        row.posting_count = (postings.len() as u16).into();
        let voucher = if self.rng.chance(10) { vec![b'v'; 1 + self.rng.below(600)] } else { Vec::new() };
        row.voucher_length = (voucher.len() as u16).into();
        let postings = postings.iter().map(|&(index, _, amount)| {
            let mut row = PostingRow::new_zeroed();
            (row.index, row.amount) = (index, amount.into());
            row
        });
        (row, postings.collect(), voucher)
    }

    async fn send(&mut self, engine: &Engine, institution: u32, items: Vec<Item>) {
        let rows: Vec<ItemRow> = items.iter().map(|item| item.0).collect();
        let postings: Vec<PostingRow> = items.iter().flat_map(|item| item.1.clone()).collect();
        let vouchers: Vec<u8> = items.iter().flat_map(|item| item.2.clone()).collect();
        let payload = [rows.as_bytes(), postings.as_bytes(), &vouchers].concat();
        let request = PostRequest::parse(institution, 0, PostForm::Items, rows.len() as u32, payload.into());
        let command = Command::Post { request: request.expect("rows"), want_postings: false };
        assert!(matches!(engine.call(command).await, Reply::Posted(_)));
    }
}
