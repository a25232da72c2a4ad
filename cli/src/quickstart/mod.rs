//! `florin quickstart`: a marketplace's day over TCP with a crash in the middle, from nothing to a verified ledger.
//!
//! Everything it shows is measured or looked up in this run; the server is a child process of the same binary.

pub mod day;
pub mod judge;
pub mod send;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use clap::Args;
use florin_bench::machine::{default_folder, file_system, is_in_memory};
use florin_bench::{ServerProcess, ServerSettings};
use florin_core::asset::Asset;
use florin_core::outcome::Outcome;
use florin_core::request::Side;
use florin_net::Client;
use serde_json::json;

use self::day::{BUYERS, MERCHANTS, SHOWN_MERCHANT, merchant_name};
use self::judge::Total;
use self::send::{Day, Resent, SENDERS};
use crate::amount::{format_amount, format_count, format_grouped};
use crate::assets::{AssetSpec, ensure};
use crate::bench::bench_error;
use crate::client::{block_on_unless_interrupted, client_error, connect};
use crate::error::{CliError, CliResult, EXIT_FINE};
use crate::ids::{account_of_name, random_id};
use crate::init::now_ns;
use crate::output::{Align, Output, Table};
use crate::progress;
use crate::{statement, verify};

/// Entries shown of the merchant's statement.
const STATEMENT_ENTRIES: u64 = 12;

/// See it work: a marketplace's day with a crash in the middle
///
/// Makes a ledger in a temporary folder, starts a server, posts a day of payments through the client, kills the server
/// with SIGKILL in the middle, restarts it, checks everything the client was told, finishes the day and verifies.
#[derive(Debug, Args)]
pub struct QuickstartArguments {
    /// Transactions of the day
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1_000..=5_000_000))]
    payments: u32,
    /// Where the temporary folder is made [default: the system's, unless that is kept in memory]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Keep the ledger and say where it is
    #[arg(long)]
    keep: bool,
}

/// Runs the command.
pub fn run(arguments: &QuickstartArguments, output: Output) -> CliResult {
    let place = arguments.dir.clone().unwrap_or_else(default_folder);
    let folder = tempfile::Builder::new().prefix("florin-quickstart-").tempdir_in(&place).map_err(|e| {
        CliError::cannot(
            format!("no folder in {}: {e}", place.display()),
            "give a folder that can be written to with --dir",
        )
    })?;
    let data = folder.path().join("ledger");
    let result = block_on_unless_interrupted(quickstart(arguments, &data, output));
    if arguments.keep {
        let kept = folder.keep().join("ledger");
        output.text(format!("kept the ledger: florin serve --data {}", kept.display()));
    }
    result
}

/// Numbers the steps.
struct Steps {
    output: Output,
    done: u32,
}

impl Steps {
    fn next(&mut self, what: impl AsRef<str>) {
        self.done += 1;
        if self.done > 1 {
            self.output.text("");
        }
        self.output.text(format!("{}. {}", self.done, what.as_ref()));
    }

    fn say(&self, what: impl AsRef<str>) {
        self.output.text(format!("   {}", what.as_ref()));
    }
}

async fn quickstart(arguments: &QuickstartArguments, data: &Path, output: Output) -> CliResult {
    let begun = Instant::now();
    let mut steps = Steps { output, done: 0 };
    let n = |count: usize| format_count(count as u64);

    steps.next("A new ledger");
    let binary = std::env::current_exe().map_err(|e| {
        CliError::cannot(format!("this program's own path is not known: {e}"), "run florin by its full path")
    })?;
    let settings = ServerSettings { binary, arguments: Vec::new() };
    ServerProcess::make_ledger(&settings, data, &[]).await.map_err(bench_error)?;
    let disk = file_system(data);
    steps.say(format!("in {} ({disk})", data.display()));
    if is_in_memory(data) {
        steps.say("this folder is kept in memory: it survives the crash below, but no loss of power; use --dir");
    }
    let server = ServerProcess::start(&settings, data).await.map_err(bench_error)?;
    steps.say(format!("served by process {} on {}", server.pid().unwrap_or(0), server.address()));

    steps.next("A marketplace");
    let client = connect(&server.address().to_string()).await?;
    let asset = ensure(&client, &AssetSpec { code: "EUR".to_string(), scale: 2 }).await?;
    open_accounts(&client, &asset).await?;
    steps.say(format!(
        "{} buyers, {} merchants, fees, card clearing and the bank: double entry in EUR",
        n(BUYERS),
        n(MERCHANTS)
    ));
    steps.say("wallets and merchants cannot go below zero: a payment without funds is declined, for ever");
    drop(client);

    let id_base = (u128::from(now_ns() / 1_000_000) << 80) | (random_id()? & 0xffff_ffff) << 48;
    let transactions = day::transactions(arguments.payments as usize, &asset, id_base);
    let total = transactions.len();
    let connections: usize = SENDERS.iter().map(|(count, _)| count).sum();
    let sizes: Vec<String> = SENDERS.iter().map(|(count, size)| format!("{count} sending {size}")).collect();
    steps.next(format!("The day: {} payments with fees, top-ups, refunds, settlements and payouts", n(total)));
    steps.say(format!(
        "over {connections} connections ({} at a time); every answer waits for the disk",
        sizes.join(", ")
    ));
    let day = Rc::new(RefCell::new(Day::new(transactions)));
    let bar = progress::bar(total as u64, "posting", "transactions");
    let address = server.address().to_string();
    let kill = async { server.kill().await.map_err(bench_error) };
    send::send(Rc::clone(&day), &address, bar.clone(), Some(total / 2), kill).await?;
    bar.suspend(|| {
        let day = day.borrow();
        let under_way: usize = day.unanswered.iter().map(|r| r.len()).sum();
        steps.next("The crash");
        steps.say(format!("SIGKILL after {} answers, with {} transactions under way", n(day.answers), n(under_way)));
    });

    let restarted = Instant::now();
    let server = ServerProcess::start(&settings, data).await.map_err(bench_error)?;
    let restart = restarted.elapsed();
    let client = connect(&server.address().to_string()).await?;
    bar.suspend(|| {
        server.said.iter().for_each(|line| steps.say(line));
        steps.say(format!(
            "serving again as process {} after {:.2} s",
            server.pid().unwrap_or(0),
            restart.as_secs_f64()
        ));
    });
    let answered = day.borrow().answered();
    let checked = judge::check_told(&answered, &client).await?;
    bar.suspend(|| {
        steps
            .say(format!("looked up all {} answers given before the crash: every one is there, unchanged", n(checked)));
    });
    let resent = send::resend(&day, &client, &bar).await?;
    bar.suspend(|| {
        steps.say(format!(
            "sent the {} unanswered again with the same ids; already in the log, and so not posted twice: {}",
            n(resent.transactions),
            n(resent.known)
        ));
        steps.next("The rest of the day");
    });
    let address = server.address().to_string();
    send::send(Rc::clone(&day), &address, bar.clone(), None, async { Ok(()) }).await?;
    bar.finish_and_clear();

    let day = day.replace(Day::new(Vec::new()));
    let (posted, declined) = (day.count(Outcome::Posted), day.count(Outcome::BelowFloor));
    steps.say(format!(
        "{} posted, {} declined for lack of funds, {} otherwise refused",
        n(posted),
        n(declined),
        n(total - posted - declined)
    ));
    let rate = total as f64 / day.sending.as_secs_f64();
    steps.say(format!(
        "{} transactions/s ({:.1} s of sending), durable on {disk}",
        format_count(rate as u64),
        day.sending.as_secs_f64()
    ));
    latency_table(&day).lines().iter().for_each(|line| steps.say(line));

    steps.next(format!("A statement: {}", merchant_name(SHOWN_MERCHANT)));
    let merchant = account_of_name(&merchant_name(SHOWN_MERCHANT));
    let newest = statement::Part { limit: STATEMENT_ENTRIES, ..statement::Part::default() };
    if let Some((page, entries)) = statement::fetch(&client, merchant, &newest).await? {
        let names = statement::names(&client, &entries).await?;
        statement::table(&entries, asset.scale, &names).write(&output);
        steps.say(format!(
            "{} entries in all; balance {} EUR",
            format_count(page.account.version),
            format_grouped(page.account.posted, asset.scale)
        ));
    }

    steps.next("The books");
    let totals = judge::totals(&client).await?;
    totals_table(&totals, &asset).lines().iter().for_each(|line| steps.say(line));
    drop(client);
    server.stop().await.map_err(bench_error)?;

    steps.next("Verify: fold the whole log from its first byte");
    let report = verify::verify(data)?;
    verify::lines(&report).iter().for_each(|line| steps.say(line));
    if report.posted != posted as u64 {
        return Err(CliError::disagree(
            format!("the log has {} posted transactions, the client was told of {posted}", report.posted),
            "this is a bug: keep the folder (florin quickstart --keep) and report it",
        ));
    }
    steps.say(format!("the log has exactly the {} transactions that were acknowledged", n(posted)));
    output.text("");
    output.text(format!("Done in {:.1} s. What to try next:", begun.elapsed().as_secs_f64()));
    for line in NEXT {
        output.text(format!("   {line}"));
    }
    output.object(&summary(&day, &resent, checked, &disk, rate, &totals, &asset));
    Ok(EXIT_FINE)
}

const NEXT: [&str; 6] = [
    "florin init --data books --asset EUR:2 && florin serve --data books",
    "florin account open --id alice --side credit      (in another terminal)",
    "florin account open --id cash --side debit --category platform",
    "florin post --debit @cash:12.50 --credit @alice:12.50 && florin statement @alice",
    "florin import FILE.csv --server 127.0.0.1:7440    your own bookings, checked row by row",
    "florin bench                                      how fast this machine is",
];

async fn open_accounts(client: &Client, asset: &Asset) -> CliResult<()> {
    for part in day::accounts(asset).chunks(5_000) {
        let reply = client.open_accounts(part).await.map_err(client_error)?;
        if let Some(result) = reply.items().find(|r| r.outcome != Outcome::Posted) {
            return Err(CliError::disagree(
                format!("an account could not be opened: {}", result.outcome.name()),
                result.outcome.info().help,
            ));
        }
    }
    Ok(())
}

fn latency_table(day: &Day) -> Table {
    let mut table = Table::new(&[
        ("transactions a request", Align::Right),
        ("connections", Align::Right),
        ("requests", Align::Right),
        ("p50 us", Align::Right),
        ("p99 us", Align::Right),
        ("p99.9 us", Align::Right),
        ("max us", Align::Right),
    ]);
    for ((connections, size), (latency, requests)) in SENDERS.into_iter().zip(day.latency()) {
        table.row(vec![
            size.to_string(),
            connections.to_string(),
            format_count(requests),
            format_count(latency.p50),
            format_count(latency.p99),
            format_count(latency.p999),
            format_count(latency.max),
        ]);
    }
    table
}

fn totals_table(totals: &[Total], asset: &Asset) -> Table {
    let mut table = Table::new(&[
        ("accounts", Align::Left),
        ("how many", Align::Right),
        ("debit balance", Align::Right),
        ("credit balance", Align::Right),
    ]);
    let money = |minor: i128| format_grouped(minor, asset.scale);
    let mut sums = [0i128; 2];
    for total in totals {
        let debit = total.kind.normal_side() == Side::Debit;
        sums[usize::from(!debit)] += total.balance;
        let (left, right) =
            if debit { (money(total.balance), String::new()) } else { (String::new(), money(total.balance)) };
        table.row(vec![total.kind.name().to_string(), format_count(total.accounts), left, right]);
    }
    table.row(vec!["together, in EUR".to_string(), String::new(), money(sums[0]), money(sums[1])]);
    table
}

fn summary(
    day: &Day,
    resent: &Resent,
    checked: usize,
    disk: &str,
    rate: f64,
    totals: &[Total],
    asset: &Asset,
) -> serde_json::Value {
    let latency: Vec<_> = SENDERS
        .into_iter()
        .zip(day.latency())
        .map(|((connections, size), (latency, requests))| {
            json!({ "batch": size, "connections": connections, "requests": requests, "latency_us": latency })
        })
        .collect();
    json!({
        "fine": true,
        "transactions": day.transactions.len(),
        "posted": day.count(Outcome::Posted),
        "declined": day.count(Outcome::BelowFloor),
        "transactions_per_second": rate,
        "file_system": disk,
        "latency": latency,
        "answers_before_the_crash": checked,
        "unanswered_at_the_crash": resent.transactions,
        "unanswered_but_durable": resent.known,
        "totals": totals.iter().map(|t| json!({
            "accounts": t.kind.name(), "count": t.accounts, "side": t.kind.normal_side().name(),
            "balance": format_amount(t.balance, asset.scale), "balance_minor": t.balance.to_string(),
        })).collect::<Vec<_>>(),
    })
}
