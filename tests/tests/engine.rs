//! Random programs through the whole engine: actors, log on disk, history. Every reply, look-up, listing and statement
//! is what the reference model says, across restarts with another number of shards; at the end `verify` finds nothing.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use florin_core::coordinator::RoundLimits;
use florin_core::entry::{AccountRecord, Order, Span, StatementEntry, TransactionRecord};
use florin_core::limits::POSTINGS_MAX;
use florin_engine::{Command, Engine, EngineOptions, Placement, Reply, start};
use florin_tests::compare::{self, Readings};
use florin_tests::encode;
use florin_tests::model::{Deed, Model};
use florin_tests::program::{Program, Step};
use florin_tests::rng::Rng;
use florin_wal::{LedgerOptions, create_ledger};
use tokio::sync::oneshot;

/// Programs run by the normal suite. Each makes a ledger and starts it a few times.
const PROGRAMS: u64 = 60;

/// The seed under way.
static AT: AtomicU64 = AtomicU64::new(0);

/// The engine ends the process on any panic, also on one of this test, and with it goes what the test harness captured.
fn name_the_seed_on_panic() {
    std::panic::set_hook(Box::new(|info| {
        let _ = writeln!(std::io::stderr(), "seed {}: {info}", AT.load(Ordering::Relaxed));
    }));
}

#[derive(Default)]
struct Did {
    starts: u64,
    transactions: usize,
    reads: u64,
    entries: u64,
}

#[test]
fn any_program_through_the_engine_is_what_the_model_says_also_after_restarts() {
    let mut did = Did::default();
    name_the_seed_on_panic();
    for seed in 0..PROGRAMS {
        AT.store(seed, Ordering::Relaxed);
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let data = folder.path().join("ledger");
        let mut rng = Rng::part(seed, "engine");
        let segment_bytes = rng.pick(&[64 << 10, 256 << 10, 1 << 20]);
        create_ledger(&data, &LedgerOptions { segment_bytes, created_unix_ns: 1 }).expect("a new ledger");
        actix_rt::System::new().block_on(run(Program::random(seed), &data, &mut rng, &mut did));
        let report = florin_engine::verify(&data, &mut |_| {}).expect("a ledger that adds up");
        assert!(report.log.torn_tail.is_none(), "a clean shutdown leaves no torn tail");
    }
    println!(
        "{PROGRAMS} programs, {} transactions, {} reads, {} statement entries, {} starts: {PROGRAMS} passed, 0 failed",
        did.transactions, did.reads, did.entries, did.starts
    );
    assert!(did.transactions > 0 && did.reads > 0 && did.entries > 0);
}

async fn run(program: Program, data: &Path, rng: &mut Rng, did: &mut Did) {
    did.transactions += program.items();
    let mut steps: Vec<Step> = program.steps.into_iter().filter(|s| !matches!(s, Step::Heave { .. })).collect();
    steps.iter_mut().for_each(put_expiries_off);
    let mut model = Model::new();
    let pieces = rng.between(1, 3);
    for piece in steps.chunks(steps.len().div_ceil(pieces)) {
        let options = EngineOptions {
            shards: rng.pick(&[1, 2, 3, 8]),
            placement: rng.pick(&[Placement::Auto, Placement::Together, Placement::Apart]),
            round: RoundLimits {
                transactions: rng.pick(&[1, 20, 8_190]),
                transactions_few: rng.pick(&[4, 8_190]),
                postings: rng.pick(&[POSTINGS_MAX, 20_000]),
                open_rounds: rng.between(1, 3),
                ..RoundLimits::default()
            },
            ..EngineOptions::new(data)
        };
        let engine = start(options).await.expect("an engine").engine;
        did.starts += 1;
        let mut readings = Readings::default();
        let mut rest = piece;
        while !rest.is_empty() {
            let (together, later) = rest.split_at(rng.between(1, 30).min(rest.len()));
            rest = later;
            // Asked all at once, answered in any order, judged in the order asked.
            let asked: Vec<_> = together.iter().map(|step| (step, rng.chance(50))).collect();
            let waiting: Vec<_> = asked.iter().map(|(step, want)| ask(&engine, command(step, *want))).collect();
            for ((step, want_postings), told) in asked.into_iter().zip(waiting) {
                readings.settle(&model);
                match (step, told.await.expect("an answer")) {
                    (Step::Read { institution, accounts }, Reply::Accounts { accounts: records, position }) => {
                        did.reads += 1;
                        assert!(model.serves(*institution), "an institution that is not registered");
                        readings.add(&model, *institution, accounts, records, position);
                    }
                    (Step::Read { institution, .. }, Reply::InstitutionUnknown) => {
                        assert!(!model.serves(*institution), "institution {institution} is registered");
                    }
                    (step, Reply::Posted(reply)) => {
                        compare::reply(&mut model, step, &reply, want_postings, &mut readings)
                    }
                    (step, other) => panic!("{other:?} to {step:?}"),
                }
            }
        }
        readings.settle(&model);
        readings.finish();
        look_at_everything(&engine, &model, rng, did).await;
        engine.stop().await.expect("a sealed log");
    }
}

/// The engine's clock is the machine's: no hold may expire while a program runs. The kill test has holds that do.
fn put_expiries_off(step: &mut Step) {
    if let Step::Run { items, .. } = step {
        items.iter_mut().filter(|item| item.timeout > 0).for_each(|item| item.timeout = item.timeout.max(3_600));
    }
}

fn command(step: &Step, want_postings: bool) -> Command {
    match step {
        Step::Run { institution, transfers, items } => {
            Command::Post { request: encode::post_request(*institution, *transfers, items), want_postings }
        }
        Step::Open { institution, openings } => Command::Open(encode::open_request(*institution, openings)),
        Step::Control { institution, control } => Command::Control(encode::control_request(*institution, control)),
        Step::Read { institution, accounts } => {
            Command::LookUpAccounts { institution: *institution, ids: accounts.clone() }
        }
        Step::Change { institution, changes } => Command::Change(encode::change_request(*institution, changes)),
        Step::Heave { .. } => unreachable!("only a simulator can"),
    }
}

fn ask(engine: &Engine, command: Command) -> oneshot::Receiver<Reply> {
    let (tell, told) = oneshot::channel();
    engine.submit(0, command, Box::new(move |reply| tell.send(reply).expect("the test waits")));
    told
}

/// Looks everything up and compares it with the model.
async fn look_at_everything(engine: &Engine, model: &Model, rng: &mut Rng, did: &mut Did) {
    let Reply::Assets(assets) = engine.call(Command::Assets).await else { panic!("not the assets") };
    let assets = assets.iter().map(|a| (a.number, a.code.as_str(), a.scale));
    assert!(assets.eq(model.assets().map(|a| (a.number, a.code.as_str(), a.scale))));

    let Reply::Stats(stats) = engine.call(Command::Stats).await else { panic!("not the figures") };
    assert_eq!((stats.sequence, stats.accounts), (model.last_sequence(), model.accounts().count() as u64));
    assert_eq!(stats.ids, model.ids() as u64);

    for record in list(engine, rng).await {
        assert!(compare::same_account(1, model.account(1, record.account), Some(&record)), "{record:?}");
        let entries = statement(engine, record.account, rng).await;
        let expected = &model.account(1, record.account).expect("it was compared").entries;
        assert_eq!(entries.len(), expected.len());
        for (entry, (sequence, place)) in entries.iter().zip(expected.iter().rev()) {
            compare::statement_entry(entry, *place, model.row(*sequence));
        }
        did.entries += entries.len() as u64;
    }

    let items = model.rows().iter().filter(|row| matches!(row.deed, Deed::Item(_)));
    let mut ids: Vec<u128> = items.filter_map(|row| row.deed.id()).collect();
    ids.push(rng.next_u128());
    for some in ids.chunks(rng.between(1, 1_000)) {
        let look_up = Command::LookUpTransactions { institution: 1, ids: some.to_vec() };
        let Reply::Transactions { transactions, .. } = engine.call(look_up).await else { panic!("not transactions") };
        assert_eq!(transactions.len(), some.len());
        for (id, found) in some.iter().zip(transactions) {
            compare_transaction(model, *id, found.as_ref());
        }
    }
    let unknown = Command::Statement {
        institution: 1,
        account: 12_345,
        span: Span::All,
        order: Order::Newest,
        from: None,
        limit: 1,
    };
    if model.account(1, 12_345).is_none() {
        assert!(matches!(engine.call(unknown).await, Reply::Statement(None)));
    }
}

fn compare_transaction(model: &Model, id: u128, found: Option<&TransactionRecord>) {
    // Account changes and control records share the space of ids, but are no transactions.
    let recorded = model.recorded(1, id).filter(|row| matches!(row.deed, Deed::Item(_)));
    match (recorded, found) {
        (Some(expected), Some(found)) => compare::transaction(found, expected),
        (None, None) => {}
        (expected, found) => panic!("id {id:#x}: {found:?} but {expected:?}"),
    }
}

/// All accounts, in the order of their opening, in pages of a random size.
async fn list(engine: &Engine, rng: &mut Rng) -> Vec<AccountRecord> {
    let (mut all, limit): (Vec<AccountRecord>, u32) = (vec![], rng.between(1, 30) as u32);
    loop {
        let after = all.last().map_or(0, |a| a.opened);
        let page = engine.call(Command::ListAccounts { institution: 1, after, limit }).await;
        let Reply::AccountPage { accounts, .. } = page else { panic!("not a page of accounts") };
        let last = accounts.len() < limit as usize;
        all.extend(accounts);
        if last {
            assert!(all.is_sorted_by_key(|a| a.opened));
            return all;
        }
    }
}

/// All entries of an account, newest first, in pages of a random size.
async fn statement(engine: &Engine, account: u128, rng: &mut Rng) -> Vec<StatementEntry> {
    let (mut all, mut from) = (vec![], None);
    let limit = rng.pick(&[1, 7, 1_000]);
    loop {
        let (span, order) = (Span::All, Order::Newest);
        let page = engine.call(Command::Statement { institution: 1, account, span, order, from, limit }).await;
        let Reply::Statement(Some(page)) = page else { panic!("not a statement: {page:?}") };
        all.extend(page.entries);
        from = page.next;
        if from.is_none() {
            return all;
        }
    }
}
