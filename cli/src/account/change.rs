//! `florin account freeze`, `unfreeze`, `limits`, `close`, `reopen`, `label`, `attributes`: changes of an account.
//!
//! Each is an entry of the account with an id and a reason; whoever lost the answer repeats the command with that id.

use clap::Args;
use florin_core::entry::{ChangeRecord, Status};
use florin_core::limits::{ATTRIBUTES_BYTES_MAX, LABEL_BYTES_MAX, REASON_BYTES_MAX};
use florin_core::outcome::Outcome;
use florin_core::request::{Action, ItemResult};
use florin_net::{AccountChange, Client};
use serde_json::{Value, json};

use super::show;
use crate::amount::parse_balance;
use crate::client::{Target, UnderWay, client_error, with_session};
use crate::dates::{format_day, format_instant, instant_json, instant_ns_json};
use crate::error::{CliError, CliResult, EXIT_DISAGREE, EXIT_FINE};
use crate::ids::{parse_account, parse_id, random_id, show_id};
use crate::import::report::field_name;
use crate::money::{Assets, show_account};
use crate::output::{Output, put_bytes};

/// Refuse debits, credits, or both (without --debit and --credit) from now on; replaces an earlier freeze
#[derive(Debug, Args)]
pub struct FreezeArguments {
    /// Refuse debits
    #[arg(long)]
    debit: bool,
    /// Refuse credits
    #[arg(long)]
    credit: bool,
    #[command(flatten)]
    change: ReasonedChange,
}

/// Take debits and credits again
#[derive(Debug, Args)]
pub struct UnfreezeArguments {
    #[command(flatten)]
    change: ReasonedChange,
}

/// Set floor, ceiling or alarm level, or take them away; what is not named stays
#[derive(Debug, Args)]
pub struct LimitsArguments {
    /// Lowest available balance, in decimal, or none
    #[arg(long, value_name = "AMOUNT|none", allow_hyphen_values = true)]
    floor: Option<String>,
    /// Highest balance with incoming holds, in decimal, or none
    #[arg(long, value_name = "AMOUNT|none", allow_hyphen_values = true)]
    ceiling: Option<String>,
    /// Balance at which entries that cross it are marked, in decimal, or none
    #[arg(long, value_name = "AMOUNT|none", allow_hyphen_values = true)]
    alarm: Option<String>,
    /// Also if the account is outside its new limits
    #[arg(long)]
    forced: bool,
    #[command(flatten)]
    change: ReasonedChange,
}

/// Close an account without balance and holds
#[derive(Debug, Args)]
pub struct CloseArguments {
    #[command(flatten)]
    change: ReasonedChange,
}

/// Open a closed account again
#[derive(Debug, Args)]
pub struct ReopenArguments {
    #[command(flatten)]
    change: ReasonedChange,
}

/// Give an account another label, up to 64 bytes; its id stays
#[derive(Debug, Args)]
pub struct LabelArguments {
    #[command(flatten)]
    change: Change,
    /// The label; '' for none
    #[arg(value_name = "LABEL")]
    label: String,
    /// Why, up to 200 bytes
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

/// Keep a text of up to 1024 bytes with an account; it replaces the one before
#[derive(Debug, Args)]
pub struct AttributesArguments {
    #[command(flatten)]
    change: Change,
    /// The text, for example JSON; '' for none
    #[arg(value_name = "TEXT")]
    attributes: String,
    /// Why, up to 200 bytes
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

#[derive(Debug, Args)]
struct ReasonedChange {
    #[command(flatten)]
    change: Change,
    /// Why, 1 to 200 bytes; it stays in the account's statement
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

#[derive(Debug, Args)]
struct Change {
    #[command(flatten)]
    target: Target,
    /// Decimal, 0x… hex, or @NAME
    #[arg(value_name = "ACCOUNT")]
    account: String,
    /// Id of the change; the same id never applies twice [default: a random one]
    #[arg(long, value_name = "N")]
    id: Option<String>,
    /// Business code, 0 to 65535
    #[arg(long, default_value_t = 0)]
    code: u16,
}

/// Freezes.
pub fn freeze(a: &FreezeArguments, output: Output) -> CliResult {
    let status = match (a.debit, a.credit) {
        (true, false) => Status::DebitFrozen,
        (false, true) => Status::CreditFrozen,
        _ => Status::Frozen,
    };
    run(&a.change.change, output, |id, account| AccountChange::freeze(id, account, status, &a.change.reason))
}

/// Unfreezes.
pub fn unfreeze(a: &UnfreezeArguments, output: Output) -> CliResult {
    run(&a.change.change, output, |id, account| AccountChange::unfreeze(id, account, &a.change.reason))
}

/// Closes.
pub fn close(a: &CloseArguments, output: Output) -> CliResult {
    run(&a.change.change, output, |id, account| AccountChange::close(id, account, &a.change.reason))
}

/// Opens again.
pub fn reopen(a: &ReopenArguments, output: Output) -> CliResult {
    run(&a.change.change, output, |id, account| AccountChange::reopen(id, account, &a.change.reason))
}

/// Sets the label.
pub fn label(a: &LabelArguments, output: Output) -> CliResult {
    run(&a.change, output, |id, account| AccountChange::label(id, account, &a.label).with_reason(&a.reason))
}

/// Sets the attributes.
pub fn attributes(a: &AttributesArguments, output: Output) -> CliResult {
    run(&a.change, output, |id, account| {
        AccountChange::attributes(id, account, a.attributes.as_bytes()).with_reason(&a.reason)
    })
}

/// Sets limits; their amounts are by the scale of the account's asset.
pub fn limits(a: &LimitsArguments, output: Output) -> CliResult {
    if a.floor.is_none() && a.ceiling.is_none() && a.alarm.is_none() {
        return Err(CliError::cannot(
            "no limit is named",
            "add --floor, --ceiling or --alarm, each with an amount or none; `florin account show` has those of now",
        ));
    }
    with_session(&a.change.change.target, async |client| {
        let account = parse_account(&a.change.change.account)?;
        let found = client.accounts(&[account]).await.map_err(client_error)?;
        let record = found.into_iter().next().flatten().ok_or_else(|| show::unknown(&a.change.change.account))?;
        let scale = Assets::load(&client).await?.scale(record.asset);
        let read = |flag: &str, text: &Option<String>| match text.as_deref() {
            None => Ok(None),
            Some("none") => Ok(Some(None)),
            Some(text) => parse_balance(text, scale)
                .map(|minor| Some(Some(minor)))
                .map_err(|e| CliError::cannot(format!("--{flag}: {e}"), "correct the amount, or write none")),
        };
        let change = AccountChange {
            floor: read("floor", &a.floor)?,
            ceiling: read("ceiling", &a.ceiling)?,
            alarm: read("alarm", &a.alarm)?,
            forced: a.forced,
            ..AccountChange::limits(a.change.change.id()?, account, &a.change.reason)
        };
        apply(&client, &change.with_code(a.change.change.code), output).await
    })
}

impl Change {
    fn id(&self) -> CliResult<u128> {
        self.id.as_deref().map_or_else(random_id, parse_id)
    }
}

fn run(arguments: &Change, output: Output, make: impl Fn(u128, u128) -> AccountChange) -> CliResult {
    with_session(&arguments.target, async |client| {
        let account = parse_account(&arguments.account)?;
        let change = make(arguments.id()?, account).with_code(arguments.code);
        apply(&client, &change, output).await
    })
}

async fn apply(client: &Client, change: &AccountChange, output: Output) -> CliResult {
    check_lengths(change)?;
    let mut asked = UnderWay::new(change.id)?;
    let reply = asked.answer(client.change_accounts(std::slice::from_ref(change))).await?;
    let result = reply.items().next().ok_or_else(|| asked.unanswered())?;
    let became = format!("{}, sequence {}", result.outcome.name(), result.sequence);
    asked.tell(&became, report(client, change, &result, output)).await
}

/// What the server would refuse by its length alone is not sent.
fn check_lengths(change: &AccountChange) -> CliResult<()> {
    let (reason, data) = (change.reason.len(), change.data.len());
    let may_be_silent = matches!(change.action, Action::Label | Action::Attributes);
    if reason > REASON_BYTES_MAX || (reason == 0 && !may_be_silent) {
        return Err(CliError::refused(Outcome::ReasonInvalid, format!("the reason has {reason} bytes")));
    }
    match change.action {
        Action::Label if data > LABEL_BYTES_MAX => {
            Err(CliError::refused(Outcome::LabelInvalid, format!("the label has {data} bytes")))
        }
        Action::Attributes if data > ATTRIBUTES_BYTES_MAX => {
            Err(CliError::refused(Outcome::AttributesTooLong, format!("the text has {data} bytes")))
        }
        _ => Ok(()),
    }
}

async fn report(client: &Client, change: &AccountChange, result: &ItemResult, output: Output) -> CliResult {
    // What became of it is known; the account is shown besides.
    let account = client.accounts(&[change.account]).await.ok().and_then(|found| found.into_iter().next().flatten());
    let assets = Assets::load(client).await.ok();
    let shown = account.as_ref().zip(assets.as_ref());
    output.object(&json!({
        "id": show_id(change.id),
        "action": change.action.name(),
        "outcome": result.outcome.name(),
        "help": result.outcome.info().help,
        "recorded": result.outcome.info().recorded,
        "repeat": result.repeat,
        "differing_field":
            (result.outcome == Outcome::IdUsedWithOtherFields).then(|| field_name(result.detail)),
        "sequence": result.sequence.to_string(),
        "booked_at": instant_json(result.booked_at),
        "booked_at_ns": instant_ns_json(result.booked_at),
        "account": show_id(change.account),
        "account_now": shown.map(|(account, assets)| show::json(account, assets)),
    }));
    let name = show_account(change.account, account.as_ref().map_or("", |a| &a.label));
    if result.outcome != Outcome::Posted {
        refused(change, result, &name, output);
    } else {
        let repeat = if result.repeat { ", recorded before: this is its original result" } else { "" };
        output.text(format!("changed {name} ({}) by {}", change.action.name(), show_id(change.id)));
        output.text(format!("  sequence {} at {}{repeat}", result.sequence, format_instant(result.booked_at)));
    }
    if let Some((account, assets)) = shown.filter(|_| result.outcome.info().recorded) {
        show::lines(account, assets)
            .iter()
            .filter(|line| SHOWN.iter().any(|name| line.starts_with(name)))
            .for_each(|line| output.text(format!("  {line}")));
    }
    Ok(if result.outcome == Outcome::Posted { EXIT_FINE } else { EXIT_DISAGREE })
}

/// Properties of the account that are shown after a change.
const SHOWN: [&str; 10] =
    ["label", "status", "posted", "held", "incoming", "available", "floor", "ceiling", "alarm", "attributes"];

fn refused(change: &AccountChange, result: &ItemResult, name: &str, output: Output) {
    let first = match result.outcome {
        Outcome::IdUsedWithOtherFields => format!(" (first {})", field_name(result.detail)),
        _ => String::new(),
    };
    let repeat = if result.repeat { " (recorded before: this is its original result)" } else { "" };
    output.text(format!("refused {} of {name}: {}{first}{repeat}", change.action.name(), result.outcome.name()));
    output.text(format!("  why: {}", result.outcome.info().help));
    output.text(match result.outcome.info().recorded {
        true => "  next: final for this id; once the cause is gone, run it again without --id or with a new one",
        false => "  next: correct it and run it again; nothing was recorded",
    });
}

/// A recorded change as a JSON object; limits are in minor units.
pub fn change_json(change: &ChangeRecord) -> Value {
    let row = &change.row;
    let limit =
        |value: Option<Option<i128>>| value.map(|limit| limit.map_or("none".to_string(), |minor| minor.to_string()));
    let mut object = json!({
        "sequence": change.result.sequence.to_string(),
        "kind": "change",
        "institution": change.institution,
        "id": show_id(row.id.get()),
        "account": show_id(row.account.get()),
        "action": row.action().name(),
        "outcome": change.result.outcome.name(),
        "booked_at": instant_json(change.result.booked_at),
        "booked_at_ns": instant_ns_json(change.result.booked_at),
        "accounting_date": format_day(change.accounting_date),
        "status": Status::from_byte(row.status).map(Status::name),
        "floor_minor": limit(row.new_floor()),
        "ceiling_minor": limit(row.new_ceiling()),
        "alarm_minor": limit(row.new_alarm()),
        "forced": row.forced(),
        "code": row.code.get(),
        "reason": change.reason,
        "version": change.entry.version.to_string(),
        "balance_minor": change.entry.balance.to_string(),
        "previous": change.previous.to_string(),
    });
    put_bytes(&mut object, "data", &change.data);
    object
}
