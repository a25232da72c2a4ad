//! `florin import`: posts a CSV file of postings and checks its recorded balances against the ledger's own.
//!
//! Reading, planning and comparing are pure; only this file and `posting.rs` talk to a server.

pub mod check;
pub mod file;
pub mod plan;
pub mod posting;
pub mod report;

use std::path::PathBuf;
use std::time::Instant;

use florin_core::asset::Asset;
use florin_core::entry::Moment;
use florin_core::outcome::Outcome;
use florin_net::{Client, NewAccount};

use self::check::{Fate, compare};
use self::file::ImportFile;
use self::plan::{Need, needs};
use self::posting::{Posting, refused_earlier};
use self::report::Report;
use crate::assets::{AssetSpec, register, resolve};
use crate::client::{Target, client_error, with_session};
use crate::error::{CliError, CliResult};
use crate::output::Output;
use crate::progress;

/// Accounts looked up in one request.
const LOOK_UP_ACCOUNTS: usize = 8_000;
/// Accounts opened in one request.
const OPEN_ACCOUNTS: usize = 5_000;

/// Post a CSV file and check the balances that it records
///
/// Columns: id, date, account, counterparty, direction (credit = into the account), amount_minor or amount, and optionally
/// balance_after_minor, operation, purpose. Running it again posts nothing twice. Exit code 0 if every row is posted and
/// every recorded balance is the ledger's, otherwise 1.
#[derive(Debug, clap::Args)]
pub struct ImportArguments {
    /// The CSV file; its header is line 1
    #[arg(value_name = "FILE.csv")]
    file: PathBuf,
    #[command(flatten)]
    target: Target,
    /// The file's asset and scale; registered if the ledger does not have it [default: the ledger's only asset, or CZK:2]
    #[arg(long, value_name = "CODE:SCALE")]
    asset: Option<AssetSpec>,
    /// Open accounts with the floors that their recorded balances need; without it every floor is 0
    #[arg(long)]
    allow_overdraft: bool,
    /// Post rows once more that were refused in every earlier run
    #[arg(long)]
    retry_refused: bool,
}

/// Runs the command.
pub fn run(arguments: &ImportArguments, output: Output) -> CliResult {
    let path = arguments.file.display().to_string();
    let bytes = std::fs::read(&arguments.file)
        .map_err(|e| CliError::cannot(format!("{path} cannot be read: {e}"), "check the path of the CSV file"))?;
    with_session(&arguments.target, async |client| {
        let spec = match &arguments.asset {
            Some(spec) => spec.clone(),
            None => default_asset(&client).await?,
        };
        let wheel = progress::spinner("reading the file");
        let file = file::read(&bytes, &path, spec.scale)?;
        wheel.finish_and_clear();
        import(arguments, &client, &path, &file, &spec, output).await
    })
}

async fn import(
    arguments: &ImportArguments,
    client: &Client,
    path: &str,
    file: &ImportFile,
    spec: &AssetSpec,
    output: Output,
) -> CliResult {
    let resolved = resolve(client, spec).await?;
    let asset = &resolved.asset;
    let needs = needs(file, arguments.allow_overdraft);
    // Nothing is changed before every account is known to fit.
    let missing = missing_accounts(client, &needs, asset).await?;
    register(client, &resolved).await?;
    open_accounts(client, &missing, asset).await?;
    let opened = missing.len();
    let posting = Posting { client, file, needs: &needs, asset: asset.number, begun: position(client, &needs).await? };
    let mut fates: Vec<Option<Fate>> = vec![None; file.rows.len()];

    let begun = Instant::now();
    let bar = progress::bar(file.rows.len() as u64, "posting", "rows");
    let first_attempts: Vec<(usize, u32)> = (0..file.rows.len()).map(|row| (row, 1)).collect();
    posting.post(&first_attempts, &mut fates, &bar).await?;
    posting.follow_attempts(&mut fates).await?;
    if arguments.retry_refused {
        let again: Vec<(usize, u32)> =
            refused_earlier(&fates).into_iter().map(|(row, attempts)| (row, attempts + 1)).collect();
        bar.inc_length(again.len() as u64);
        posting.post(&again, &mut fates, &bar).await?;
    }
    bar.finish_and_clear();
    let took = begun.elapsed();

    let fates: Vec<Fate> = fates.into_iter().collect::<Option<_>>().ok_or_else(|| {
        CliError::cannot("the server left rows unanswered", "run the same command again: no row is posted twice")
    })?;
    let findings = compare(file, &fates);
    let report = Report {
        path,
        file,
        needs: &needs,
        opened,
        asset,
        fates: &fates,
        findings: &findings,
        posting: took,
        allow_overdraft: arguments.allow_overdraft,
    };
    report.write(&output);
    Ok(report.exit())
}

/// Last sequence number that is on disk; asked of an account, as there is one by now.
async fn position(client: &Client, needs: &[Need]) -> CliResult<u64> {
    let Some(need) = needs.first() else { return Ok(0) };
    let at = client.balance_at(need.id, Moment::Time(u64::MAX)).await.map_err(client_error)?;
    Ok(at.map_or(0, |at| at.position))
}

/// The ledger's only asset; CZK with two places in a ledger that has none.
async fn default_asset(client: &Client) -> CliResult<AssetSpec> {
    let registered = client.assets().await.map_err(client_error)?;
    match registered.as_slice() {
        [] => Ok(AssetSpec { code: "CZK".to_string(), scale: 2 }),
        [only] => Ok(AssetSpec { code: only.code.clone(), scale: only.scale }),
        several => {
            let codes: Vec<_> = several.iter().map(|a| format!("{}:{}", a.code, a.scale)).collect();
            Err(CliError::cannot(
                format!("the ledger has {} assets: {}", several.len(), codes.join(", ")),
                "say which one the file is in: --asset CODE:SCALE",
            ))
        }
    }
}

/// Checks the accounts that exist; gives those that do not.
async fn missing_accounts<'a>(client: &Client, needs: &'a [Need], asset: &Asset) -> CliResult<Vec<&'a Need>> {
    let mut missing: Vec<&Need> = Vec::new();
    for part in needs.chunks(LOOK_UP_ACCOUNTS) {
        let ids: Vec<u128> = part.iter().map(|n| n.id).collect();
        let found = client.accounts(&ids).await.map_err(client_error)?;
        for (need, existing) in part.iter().zip(found) {
            let Some(existing) = existing else {
                missing.push(need);
                continue;
            };
            if let Some(conflict) = need.conflict(&existing, asset) {
                return Err(conflict);
            }
        }
    }
    Ok(missing)
}

async fn open_accounts(client: &Client, needs: &[&Need], asset: &Asset) -> CliResult<()> {
    for part in needs.chunks(OPEN_ACCOUNTS) {
        let openings: Vec<NewAccount> = part.iter().map(|n| n.opening(asset)).collect();
        let reply = client.open_accounts(&openings).await.map_err(client_error)?;
        if let Some((need, result)) = part.iter().zip(reply.items()).find(|(_, r)| r.outcome != Outcome::Posted) {
            return Err(CliError::disagree(
                format!("account '{}' could not be opened: {}", need.name, result.outcome.name()),
                result.outcome.info().help,
            ));
        }
    }
    Ok(())
}
