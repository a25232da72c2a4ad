//! PostgreSQL's side: makes the ledger anew, posts from many connections in a closed loop, measures, and proves the books.

use std::time::{Duration, Instant};

use florin_bench::Percentiles;
use florin_bench::machine::{CpuTicks, cpu_seconds};
use florin_bench::report::new_histogram;
use florin_bench::workload::Random;
use hdrhistogram::Histogram;
use rand::SeedableRng;
use serde::Serialize;
use tokio_postgres::{Client, Config};

use crate::error::CompareError;
use crate::figures::Figures;
use crate::rows::{Calls, Row};
use crate::rules;
use crate::session::{Session, connect, failed};
use crate::transfers::{ASSET, Columns, Ids, Workload};

const LEDGER: &str = include_str!("../sql/ledger.sql");

/// Options of every session. Plans are made once: the estimates are the same for every call.
const SESSION: &str = "-c search_path=compare -c plan_cache_mode=force_generic_plan -c client_min_messages=warning";
/// Transfers made ahead for all connections together, at least; as many as `florin bench` makes.
const TRANSFERS_AHEAD: usize = 131_072;
/// Log files of 16 MiB written before the first run: 1 GiB, more than half a minute of the fastest row.
const LOG_FILES_AHEAD: usize = 64;
/// How WAL is synced: what Linux has that is not slower by its nature.
const SYNC_METHODS: [&str; 2] = ["fdatasync", "open_datasync"];
/// How long a commit waits for others to share its sync, tried where others are under way.
const COMMIT_DELAYS_US: [u32; 3] = [50, 200, 1000];

/// What is measured for each row before the runs: the fastest wins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// `wal_sync_method`.
    pub wal_sync_method: &'static str,
    /// `commit_delay`, microseconds.
    pub commit_delay_us: u32,
}

/// Settings with the transfers a second that each gave.
pub type Tried = Vec<(Settings, f64)>;

/// A server, and what is the same for all runs.
#[derive(Clone, Debug)]
pub struct Postgres {
    config: Config,
    /// Accounts in play.
    accounts: u32,
    /// Connections, one call in flight on each.
    connections: u16,
}

/// One connection in a closed loop.
struct Sender {
    session: Session,
    calls: Vec<Columns>,
    next: usize,
    ids: Ids,
}

/// What the senders counted in a while.
struct Tally {
    calls: u64,
    retries: u64,
    one_by_one: u64,
    seconds: f64,
    latency: Histogram<u64>,
}

impl Postgres {
    /// A server; `address` is a connection string.
    pub fn new(
        address: &str,
        password: Option<&str>,
        accounts: u32,
        connections: u16,
    ) -> Result<Postgres, CompareError> {
        let mut config: Config = address.parse().map_err(failed("reading its address"))?;
        config.options(SESSION);
        if let Some(password) = password {
            config.password(password);
        }
        Ok(Postgres { config, accounts, connections })
    }

    /// Writes log files ahead, which the next checkpoint hands out again: in a cluster that has run for a while no commit waits
    /// until a new one is filled with zeros, nor does it in Florin.
    pub async fn write_log_ahead(&self) -> Result<(), CompareError> {
        let asking = failed("writing log files ahead");
        let control = connect(&self.config).await?;
        for _ in 0..LOG_FILES_AHEAD {
            let fill = "select pg_logical_emit_message(false, 'compare', ''); select pg_switch_wal()";
            control.batch_execute(fill).await.map_err(&asking)?;
        }
        control.batch_execute("checkpoint").await.map_err(&asking)
    }

    /// Its version and the settings that decide, as it tells them.
    pub async fn about(&self) -> Result<Vec<(String, String)>, CompareError> {
        let query =
            "select name, current_setting(name) from pg_settings where name = any (array['server_version', 'fsync',
            'synchronous_commit', 'full_page_writes', 'wal_level', 'wal_compression', 'shared_buffers', 'wal_buffers',
            'max_wal_size', 'huge_pages', 'autovacuum', 'jit']) order by name";
        let asking = failed("asking for its settings");
        let rows = connect(&self.config).await?.query(query, &[]).await.map_err(&asking)?;
        rows.iter().map(|row| Ok((row.try_get(0).map_err(&asking)?, row.try_get(1).map_err(&asking)?))).collect()
    }

    /// Finds the best settings for a row by short runs, and says what each gave.
    pub async fn calibrate(&self, row: &Row, seconds: f64) -> Result<(Settings, Tried), CompareError> {
        let control = connect(&self.config).await?;
        self.make_ledger(&control, row).await?;
        let session = Session::open(&self.config, calls(row), 0).await?;
        rules::check(&control, &session, row.name).await?;
        let mut best = Settings { wal_sync_method: SYNC_METHODS[0], commit_delay_us: 0 };
        if seconds == 0.0 {
            return Ok((best, Vec::new()));
        }
        self.make_ledger(&control, row).await?;
        let mut tried = Tried::new();
        let methods = SYNC_METHODS.map(|wal_sync_method| (Some(wal_sync_method), 0));
        let delays = COMMIT_DELAYS_US.map(|commit_delay_us| (None, commit_delay_us));
        for (method, commit_delay_us) in methods.into_iter().chain(delays) {
            let settings = Settings { wal_sync_method: method.unwrap_or(best.wal_sync_method), commit_delay_us };
            set_sync_method(&control, settings.wal_sync_method).await?;
            let senders = self.senders(row, &settings, tried.len() as u16).await?;
            // A little to warm up, then the time that counts.
            let (senders, _) = drive(senders, seconds / 4.0).await?;
            let (_, tally) = drive(senders, seconds).await?;
            tried.push((settings, tally.calls as f64 * row.batch as f64 / tally.seconds));
            let fastest = tried.iter().max_by(|a, b| a.1.total_cmp(&b.1));
            best = fastest.map_or(best, |(settings, _)| settings.clone());
        }
        Ok((best, tried))
    }

    /// Runs once on a new ledger: warms up, measures, proves.
    pub async fn run(
        &self,
        row: &Row,
        settings: &Settings,
        warm_up: f64,
        seconds: f64,
    ) -> Result<Figures, CompareError> {
        let control = connect(&self.config).await?;
        let asking = failed("measuring");
        self.make_ledger(&control, row).await?;
        set_sync_method(&control, settings.wal_sync_method).await?;
        // Checkpoints do not fall into the run, and its log goes into files that were written before.
        control.batch_execute("checkpoint").await.map_err(&asking)?;
        let senders = self.senders(row, settings, u16::MAX).await?;
        let (senders, warmed) = drive(senders, warm_up).await?;

        let before = (written(&control).await?, cpu(&control).await?, CpuTicks::now());
        let (senders, tally) = drive(senders, seconds).await?;
        let ticks = CpuTicks::now();
        let after = (written(&control).await?, cpu(&control).await?);

        let transfers = tally.calls * row.batch as u64;
        let all = transfers + warmed.calls * row.batch as u64;
        prove(&control, row, &expected(self.accounts, &senders), all).await?;
        let per_transfer = |bytes: i64| bytes as f64 / transfers.max(1) as f64;
        Ok(Figures {
            transfers,
            seconds: tally.seconds,
            per_second: transfers as f64 / tally.seconds,
            latency_us: Percentiles::of(&tally.latency),
            log_bytes_per_transfer: per_transfer(after.0.log - before.0.log),
            table_bytes_per_transfer: Some(per_transfer(after.0.tables - before.0.tables)),
            server_cpu_us_per_transfer: Some((after.1 - before.1) * 1e6 / transfers.max(1) as f64),
            steal_percent: ticks.steal_percent_since(&before.2),
            retries: tally.retries,
            one_by_one: tally.one_by_one,
        })
    }

    async fn make_ledger(&self, control: &Client, row: &Row) -> Result<(), CompareError> {
        let asking = failed("making the ledger");
        control.batch_execute(LEDGER).await.map_err(&asking)?;
        for part in sql(row) {
            control.batch_execute(part).await.map_err(&asking)?;
        }
        let open = "insert into accounts (id, asset) select id, $1 from generate_series(1, $2::bigint) as id";
        control.execute(open, &[&ASSET, &i64::from(self.accounts)]).await.map_err(&asking)?;
        control.batch_execute("vacuum (analyze) accounts").await.map_err(&asking)
    }

    async fn senders(&self, row: &Row, settings: &Settings, run: u16) -> Result<Vec<Sender>, CompareError> {
        let workload = self.workload(row);
        let calls_each = TRANSFERS_AHEAD.div_ceil(usize::from(self.connections) * row.batch);
        let mut random = Random::seed_from_u64(u64::from(run));
        let mut senders = Vec::with_capacity(usize::from(self.connections));
        for number in 0..self.connections {
            senders.push(Sender {
                session: Session::open(&self.config, calls(row), settings.commit_delay_us).await?,
                calls: (0..calls_each).map(|_| Columns::build(&workload, &mut random)).collect(),
                next: 0,
                ids: Ids::new(run, number),
            });
        }
        Ok(senders)
    }

    fn workload(&self, row: &Row) -> Workload {
        Workload { accounts: self.accounts, shape: row.shape, batch: row.batch }
    }
}

fn sql(row: &Row) -> &'static [&'static str] {
    match row.system {
        crate::rows::System::Postgres { sql, .. } => sql,
        crate::rows::System::Florin => &[],
    }
}

fn calls(row: &Row) -> Calls {
    match row.system {
        crate::rows::System::Postgres { calls, .. } => calls,
        crate::rows::System::Florin => Calls::One,
    }
}

/// A setting of the whole server; new sessions have it once a reloaded one has.
async fn set_sync_method(control: &Client, method: &str) -> Result<(), CompareError> {
    let asking = failed("setting wal_sync_method");
    control.batch_execute(&format!("alter system set wal_sync_method = {method}")).await.map_err(&asking)?;
    control.batch_execute("select pg_reload_conf()").await.map_err(&asking)?;
    loop {
        let row = control.query_one("select current_setting('wal_sync_method')", &[]).await.map_err(&asking)?;
        if row.get::<_, &str>(0) == method {
            return Ok(());
        }
    }
}

/// All senders until the time is over; each ends with the answer it waits for.
async fn drive(senders: Vec<Sender>, seconds: f64) -> Result<(Vec<Sender>, Tally), CompareError> {
    let begun = Instant::now();
    let end = begun + Duration::from_secs_f64(seconds);
    let tasks: Vec<_> = senders.into_iter().map(|sender| tokio::spawn(send(sender, end))).collect();
    let mut senders = Vec::with_capacity(tasks.len());
    let mut all = Tally { calls: 0, retries: 0, one_by_one: 0, seconds: 0.0, latency: new_histogram() };
    for task in tasks {
        let (sender, tally) = task.await.map_err(|e| CompareError::Runtime(e.into()))??;
        all.calls += tally.calls;
        all.retries += tally.retries;
        all.one_by_one += tally.one_by_one;
        all.latency.add(&tally.latency).expect("the same bounds");
        senders.push(sender);
    }
    all.seconds = begun.elapsed().as_secs_f64();
    Ok((senders, all))
}

async fn send(mut sender: Sender, end: Instant) -> Result<(Sender, Tally), CompareError> {
    let asking = failed("posting");
    let mut tally = Tally { calls: 0, retries: 0, one_by_one: 0, seconds: 0.0, latency: new_histogram() };
    while Instant::now() < end {
        let count = sender.calls.len();
        let columns = &mut sender.calls[sender.next % count];
        sender.next += 1;
        sender.ids.renew(columns);
        let sent = Instant::now();
        let posted = sender.session.post(columns).await.map_err(&asking)?;
        let latency = u64::try_from(sent.elapsed().as_micros()).unwrap_or(u64::MAX);
        if posted.outcomes.len() != columns.ids.len() || posted.outcomes.iter().any(|outcome| *outcome != 0) {
            let what = format!("a transfer of the workload was not posted: {:?}", posted.outcomes);
            return Err(CompareError::Rule { row: "the workload".to_string(), what });
        }
        columns.acknowledged += 1;
        tally.calls += 1;
        tally.retries += posted.retries;
        tally.one_by_one += u64::from(posted.one_by_one);
        tally.latency.saturating_record(latency);
    }
    Ok((sender, tally))
}

/// Bytes of WAL since the cluster was made, and of tables with their indexes.
struct Written {
    log: i64,
    tables: i64,
}

async fn written(control: &Client) -> Result<Written, CompareError> {
    let query =
        "select (pg_current_wal_insert_lsn() - '0/0')::bigint, coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
        from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'compare' and c.relkind = 'r'";
    let row = control.query_one(query, &[]).await.map_err(failed("asking for sizes"))?;
    Ok(Written { log: row.get(0), tables: row.get(1) })
}

/// CPU time of all of the server's processes that serve or write so far, seconds.
async fn cpu(control: &Client) -> Result<f64, CompareError> {
    let asking = failed("asking for its processes");
    let processes = control.query("select pid from pg_stat_activity", &[]).await.map_err(asking)?;
    let pids = processes.iter().filter_map(|process| u32::try_from(process.get::<_, i32>(0)).ok());
    Ok(pids.filter_map(cpu_seconds).sum())
}

/// Balance and version of each account by what was acknowledged; the account with id n is at n - 1.
fn expected(accounts: u32, senders: &[Sender]) -> Vec<(i64, i64)> {
    let mut expected = vec![(0i64, 0i64); accounts as usize];
    for columns in senders.iter().flat_map(|sender| &sender.calls) {
        let times = columns.acknowledged as i64;
        for ((&debit, &credit), &amount) in columns.debits.iter().zip(&columns.credits).zip(&columns.amounts) {
            for (account, change) in [(debit, -amount), (credit, amount)] {
                let account = &mut expected[account as usize - 1];
                *account = (account.0 + change * times, account.1 + times);
            }
        }
    }
    expected
}

/// Every balance and version is what the acknowledged transfers make it; entries of each account have versions without a gap
/// and balances that follow from each other; transfers and entries are as many as acknowledged; debits equal credits.
async fn prove(control: &Client, row: &Row, expected: &[(i64, i64)], transfers: u64) -> Result<(), CompareError> {
    let wrong = |what: String| CompareError::Books { row: row.name.to_string(), what };
    let asking = failed("proving the books");
    control.batch_execute("set work_mem = '1GB'").await.map_err(&asking)?;

    let accounts = control.query("select balance, version from accounts order by id", &[]).await.map_err(&asking)?;
    let actual: Vec<(i64, i64)> = accounts.iter().map(|account| (account.get(0), account.get(1))).collect();
    if let Some(index) = (0..expected.len()).find(|&index| actual.get(index) != Some(&expected[index])) {
        return Err(wrong(format!(
            "account {} has balance and version {:?}, the acknowledged transfers make it {:?}",
            index + 1,
            actual.get(index),
            expected[index]
        )));
    }
    let query = "select (select count(*) from transfers where outcome = 0), count(*), coalesce(sum(amount), 0)::bigint,
            count(*) filter (where version <> place or balance - amount <> before)
        from (select version, amount, balance, row_number() over entries as place,
                coalesce(lag(balance) over entries, 0) as before
            from all_entries window entries as (partition by account order by version)) as chain";
    let chain = control.query_one(query, &[]).await.map_err(&asking)?;
    let found: [i64; 4] = [chain.get(0), chain.get(1), chain.get(2), chain.get(3)];
    let count = transfers as i64;
    if found != [count, 2 * count, 0, 0] {
        return Err(wrong(format!(
            "{count} transfers were acknowledged; there are {} with {} entries, which sum up to {}, and {} entries do not \
             follow from the ones before",
            found[0], found[1], found[2], found[3]
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Shape;
    use crate::transfers::account_id;

    #[test]
    fn the_hot_account_is_locked_last() {
        let row = crate::rows::ROWS.iter().find(|row| row.shape == Shape::Hot).unwrap();
        let postgres = Postgres::new("host=127.0.0.1", None, 50, 1).unwrap();
        assert_eq!(account_id(0, &postgres.workload(row)), 50);
        assert_eq!(account_id(49, &postgres.workload(row)), 1);
    }

    #[test]
    fn a_bad_address_is_refused() {
        assert!(Postgres::new("no such thing", None, 50, 1).unwrap_err().to_string().contains("address"));
    }
}
