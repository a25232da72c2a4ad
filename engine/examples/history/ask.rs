//! Questions to history, timed, and compared with what was posted.

use std::time::Instant;

use florin_core::entry::{Moment, Order, Span, StatementPage, StatementToken, TransactionPage};
use florin_engine::{Command, Engine, EngineStats, Reply};
use hdrhistogram::Histogram;

use crate::make::{DAY_NS, DAYS, FRAME_TRANSFERS, KIOSK, Made, QUIET, SHOP, id};

/// Days of a month.
const MONTH_DAYS: u16 = 30;
/// Pages of a watch that are timed.
const WATCH_PAGES: usize = 1_000;

/// Asks about one ledger.
pub struct Asker<'a> {
    /// What was posted.
    pub made: &'a Made,
    /// The engine.
    pub engine: &'a Engine,
    /// State of the draws.
    pub mixed: u64,
}

struct Timed {
    name: &'static str,
    us: Histogram<u64>,
}

impl Timed {
    fn new(name: &'static str) -> Timed {
        Timed { name, us: Histogram::new(3).expect("a histogram") }
    }

    fn add(&mut self, begun: Instant) {
        self.us.record(begun.elapsed().as_micros() as u64).expect("a time");
    }

    fn print(&self) {
        let at = |p: f64| self.us.value_at_percentile(p) as f64 / 1e3;
        let (median, high, most) = (at(50.0), at(99.0), at(100.0));
        println!("{:<52} {:>6} times, ms: median {median:.3}, p99 {high:.3}, max {most:.3}", self.name, self.us.len());
    }
}

/// The engine's figures.
pub async fn stats(engine: &Engine) -> EngineStats {
    match engine.call(Command::Stats).await {
        Reply::Stats(stats) => *stats,
        other => panic!("expected stats, got {other:?}"),
    }
}

impl Asker<'_> {
    /// Asks everything so many times, after a tenth of it to warm up.
    pub async fn everything(&mut self, repetitions: usize, with_indexes: bool) {
        for (times, shown) in [(repetitions / 10, false), (repetitions, true)] {
            let mut all: Vec<Timed> = Vec::new();
            all.push(self.newest(times, "last 50 entries of the shop", SHOP).await);
            all.push(self.newest(times, "last 50 entries of an account at rest for a year", QUIET).await);
            all.push(self.month(times, "a random month, first 50, newest first", Order::Newest).await);
            all.push(self.month(times, "a random month, first 50, oldest first", Order::Oldest).await);
            all.push(self.balance_at_date(times).await);
            all.push(self.balance_at_time(times).await);
            all.push(self.kiosk(times).await);
            if with_indexes {
                all.push(self.reference(times).await);
                all.extend(self.whole_months(times, Order::Newest).await);
                all.extend(self.whole_months(times / 10, Order::Oldest).await);
            }
            all.iter().filter(|_| shown).for_each(Timed::print);
        }
        if with_indexes {
            self.watch().await;
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.mixed = self.mixed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.mixed >> 33) % bound
    }

    /// Frames that were booked before a time; the kiosk has an entry in each.
    fn frames_before(&self, time: u64) -> u64 {
        time.saturating_sub(self.made.begin).div_ceil(self.made.step).min(self.made.frames)
    }

    /// Entries of the shop that were booked before a time: the others in each frame, but the very first.
    fn entries_before(&self, time: u64) -> u64 {
        self.frames_before(time) * (FRAME_TRANSFERS - 1) - 1
    }

    async fn statement(
        &self,
        account: u128,
        span: Span,
        order: Order,
        from: Option<StatementToken>,
        limit: u32,
    ) -> StatementPage {
        let question = Command::Statement { institution: 1, account, span, order, from, limit };
        match self.engine.call(question).await {
            Reply::Statement(Some(page)) => *page,
            other => panic!("expected a page, got {other:?}"),
        }
    }

    async fn newest(&self, times: usize, name: &'static str, account: u128) -> Timed {
        let mut timed = Timed::new(name);
        for _ in 0..times {
            let begun = Instant::now();
            let page = self.statement(account, Span::All, Order::Newest, None, 50).await;
            timed.add(begun);
            assert_eq!(page.entries.len() as u64, page.account.version.min(50));
        }
        timed
    }

    /// First and last date of a random month.
    fn random_month(&mut self) -> (u16, u16) {
        let first = (self.made.begin / DAY_NS) as u16 + 1 + self.below(DAYS - u64::from(MONTH_DAYS)) as u16;
        (first, first + MONTH_DAYS - 1)
    }

    async fn month(&mut self, times: usize, name: &'static str, order: Order) -> Timed {
        let mut timed = Timed::new(name);
        for _ in 0..times {
            let (first, last) = self.random_month();
            let begun = Instant::now();
            let page = self.statement(SHOP, Span::Dates(first, last), order, None, 50).await;
            timed.add(begun);
            let edge = match order {
                Order::Newest => self.entries_before((u64::from(last) + 1) * DAY_NS),
                Order::Oldest => self.entries_before(u64::from(first) * DAY_NS) + 1,
            };
            assert_eq!((page.entries.len(), page.entries[0].version), (50, edge));
        }
        timed
    }

    /// All entries of a month in pages of 1,000: the time of a page, and of the month.
    async fn whole_months(&mut self, times: usize, order: Order) -> [Timed; 2] {
        let newest = order == Order::Newest;
        let name = |newest_first, oldest_first| if newest { newest_first } else { oldest_first };
        let mut pages = Timed::new(name("a page of 1,000 of a random month, newest first", "the same, oldest first"));
        let mut months =
            Timed::new(name("all of a random month, page by page, newest first", "the same, oldest first"));
        for _ in 0..times {
            let (first, last) = self.random_month();
            let (mut from, mut entries) = (None, 0);
            let month = Instant::now();
            loop {
                let begun = Instant::now();
                let page = self.statement(SHOP, Span::Dates(first, last), order, from, 1_000).await;
                pages.add(begun);
                entries += page.entries.len() as u64;
                from = page.next;
                if from.is_none() {
                    break;
                }
            }
            months.add(month);
            let before = self.entries_before(u64::from(first) * DAY_NS);
            assert_eq!(entries, self.entries_before((u64::from(last) + 1) * DAY_NS) - before);
        }
        [pages, months]
    }

    async fn balance_at(&self, account: u128, moment: Moment, expected: u64, timed: &mut Timed) {
        let begun = Instant::now();
        let reply = self.engine.call(Command::BalanceAt { institution: 1, account, moment }).await;
        timed.add(begun);
        let Reply::BalanceAt(Some(found)) = reply else { panic!("expected a balance, got {reply:?}") };
        assert_eq!((found.version, found.posted), (expected, i128::from(expected)));
    }

    async fn balance_at_date(&mut self, times: usize) -> Timed {
        let mut timed = Timed::new("balance at the end of a random day");
        for _ in 0..times {
            let (date, _) = self.random_month();
            let expected = self.entries_before((u64::from(date) + 1) * DAY_NS);
            self.balance_at(SHOP, Moment::Date(date), expected, &mut timed).await;
        }
        timed
    }

    async fn balance_at_time(&mut self, times: usize) -> Timed {
        let mut timed = Timed::new("balance at a random time");
        for _ in 0..times {
            let time = self.random_time();
            self.balance_at(SHOP, Moment::Time(time), self.entries_before(time), &mut timed).await;
        }
        timed
    }

    /// An account with one entry in a thousand rows.
    async fn kiosk(&mut self, times: usize) -> Timed {
        let mut timed = Timed::new("balance of the kiosk at a random time");
        for _ in 0..times {
            let time = self.random_time();
            self.balance_at(KIOSK, Moment::Time(time), self.frames_before(time), &mut timed).await;
        }
        timed
    }

    /// A time half-way between two frames.
    fn random_time(&mut self) -> u64 {
        self.made.begin + self.below(self.made.frames) * self.made.step + self.made.step / 2
    }

    async fn page(&self, question: Command) -> TransactionPage {
        match self.engine.call(question).await {
            Reply::TransactionPage(page) => page,
            other => panic!("expected a page, got {other:?}"),
        }
    }

    async fn reference(&mut self, times: usize) -> Timed {
        let mut timed = Timed::new("the transaction with a random reference");
        for _ in 0..times {
            let id = id(self.below(self.made.transfers));
            let begun = Instant::now();
            let (mut after, mut found, mut more) = (0, Vec::new(), true);
            while more {
                let page =
                    self.page(Command::ByReference { institution: 1, reference: id ^ 1, after, limit: 10 }).await;
                found.extend(page.transactions.iter().map(|t| t.id));
                (after, more) = (page.seen, page.more);
            }
            timed.add(begun);
            assert_eq!(found, [id]);
        }
        timed
    }

    /// A watch that catches up from the first row.
    async fn watch(&self) {
        let (mut after, mut found, begun) = (0, 0, Instant::now());
        for _ in 0..WATCH_PAGES {
            let page = self.page(Command::Watch { institution: 1, after, limit: 1_000, wait_ms: 0 }).await;
            (after, found) = (page.seen, found + page.transactions.len());
            if !page.more {
                break;
            }
        }
        let rate = found as f64 / begun.elapsed().as_secs_f64();
        println!("a watch from the first row on: {found} transactions, {rate:.0} a second");
    }
}
