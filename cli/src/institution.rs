//! `florin institution` and `florin day`: the tenants of a ledger, and the day that each has open.

use clap::{Args, Subcommand};
use florin_core::limits::INSTITUTION_NAME_BYTES_MAX;
use florin_core::outcome::Outcome;
use florin_core::request::ItemResult;
use florin_net::Client;
use serde_json::json;

use crate::client::{Target, UnderWay, client_error, with_session};
use crate::dates::{format_day, instant_json, instant_ns_json, parse_day};
use crate::error::{CliError, CliResult, EXIT_FINE};
use crate::ids::{control_of_institution, parse_id, random_id, show_id};
use crate::import::report::field_name;
use crate::output::{Align, Output, Table};

/// Add and list institutions, each with accounts and transactions of its own.
#[derive(Debug, Args)]
pub struct InstitutionArguments {
    #[command(subcommand)]
    command: InstitutionCommand,
}

#[derive(Debug, Subcommand)]
enum InstitutionCommand {
    /// Add an institution; adding it again under the same name is fine. Only institution 1 may
    Add(AddArguments),
    /// List the institutions with the day that each has open
    List(ListArguments),
}

#[derive(Debug, Args)]
struct AddArguments {
    #[command(flatten)]
    target: Target,
    /// Its number, which --institution then takes
    #[arg(value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    number: u32,
    /// Its name, 1 to 64 bytes
    #[arg(value_name = "NAME")]
    name: String,
}

#[derive(Debug, Args)]
struct ListArguments {
    #[command(flatten)]
    target: Target,
}

/// Set the day that the institution has open
///
/// From then on its rows get this accounting date, until the next day is set. Before the first time it is the UTC date.
#[derive(Debug, Args)]
pub struct DayArguments {
    #[command(subcommand)]
    command: DayCommand,
}

#[derive(Debug, Subcommand)]
enum DayCommand {
    /// Close the day that is open, and open a later one
    Set(SetArguments),
}

#[derive(Debug, Args)]
struct SetArguments {
    #[command(flatten)]
    target: Target,
    /// YYYY-MM-DD
    #[arg(value_name = "DATE")]
    date: String,
    /// Id of the record; the same id never applies twice [default: a random one]
    #[arg(long, value_name = "N")]
    id: Option<String>,
}

impl InstitutionArguments {
    /// Whether it shows institutions and does nothing else.
    pub fn is_listing(&self) -> bool {
        matches!(self.command, InstitutionCommand::List(_))
    }
}

/// Runs `florin institution`.
pub fn run(arguments: &InstitutionArguments, output: Output) -> CliResult {
    match &arguments.command {
        InstitutionCommand::Add(a) => with_session(&a.target, async |client| add(a, &client, output).await),
        InstitutionCommand::List(a) => with_session(&a.target, async |client| list(&client, output).await),
    }
}

/// Runs `florin day`.
pub fn run_day(arguments: &DayArguments, output: Output) -> CliResult {
    let DayCommand::Set(a) = &arguments.command;
    with_session(&a.target, async |client| set_day(a, &client, output).await)
}

async fn add(arguments: &AddArguments, client: &Client, output: Output) -> CliResult {
    let bytes = arguments.name.len();
    if !(1..=INSTITUTION_NAME_BYTES_MAX).contains(&bytes) || arguments.name.contains(char::is_control) {
        return Err(CliError {
            next: format!("a name has 1 to {INSTITUTION_NAME_BYTES_MAX} bytes and no control characters"),
            ..CliError::refused(Outcome::ControlMalformed, format!("this name has {bytes} bytes"))
        });
    }
    let id = control_of_institution(arguments.number, &arguments.name);
    let result = client.register_institution(id, arguments.number, &arguments.name).await.map_err(client_error)?;
    if result.outcome == Outcome::NotPermitted {
        return Err(CliError::disagree(
            format!("institution {} may not add institutions", client.institution()),
            "only institution 1 may: run it without --institution",
        ));
    }
    check(&result, &format!("institution {}", arguments.number))?;
    output.text(format!(
        "institution {} '{}' {}",
        arguments.number,
        arguments.name,
        if result.repeat { "was recorded before: it is there" } else { "added" }
    ));
    output.text(format!("  next: florin --institution {} account open …", arguments.number));
    output.object(&json!({
        "institution": arguments.number, "name": arguments.name, "outcome": "posted", "repeat": result.repeat,
        "sequence": result.sequence.to_string(), "booked_at": instant_json(result.booked_at),
        "booked_at_ns": instant_ns_json(result.booked_at),
    }));
    Ok(EXIT_FINE)
}

async fn list(client: &Client, output: Output) -> CliResult {
    let institutions = client.institutions().await.map_err(client_error)?;
    let mut table = Table::new(&[("number", Align::Right), ("name", Align::Words), ("open day", Align::Left)]);
    for (number, institution) in institutions {
        let day = if institution.open_day == 0 { "UTC date".to_string() } else { format_day(institution.open_day) };
        output.object(&json!({
            "institution": number, "name": institution.name,
            "open_day": (institution.open_day != 0).then(|| format_day(institution.open_day)),
        }));
        table.row(vec![number.to_string(), institution.name, day]);
    }
    table.write(&output);
    Ok(EXIT_FINE)
}

async fn set_day(arguments: &SetArguments, client: &Client, output: Output) -> CliResult {
    let day = parse_day(&arguments.date).ok_or_else(|| {
        CliError::cannot(
            format!("'{}' is not a date", arguments.date),
            "write YYYY-MM-DD, from 1970-01-02 to 2149-06-06",
        )
    })?;
    let id = arguments.id.as_deref().map_or_else(random_id, parse_id)?;
    let result = UnderWay::new(id)?.answer(client.set_open_day(id, day)).await?;
    check(&result, &format!("the open day {}", arguments.date))?;
    output.text(format!(
        "open day {} from sequence {} on{}",
        arguments.date,
        result.sequence,
        if result.repeat { ", recorded before: this is its original result" } else { "" }
    ));
    output.object(&json!({
        "open_day": arguments.date, "id": show_id(id), "outcome": "posted", "repeat": result.repeat,
        "sequence": result.sequence.to_string(), "booked_at": instant_json(result.booked_at),
        "booked_at_ns": instant_ns_json(result.booked_at),
    }));
    Ok(EXIT_FINE)
}

fn check(result: &ItemResult, what: &str) -> CliResult<()> {
    match result.outcome {
        Outcome::Posted => Ok(()),
        Outcome::IdUsedWithOtherFields => Err(CliError::disagree(
            format!("{what} was refused: {} (first {})", result.outcome.name(), field_name(result.detail)),
            result.outcome.info().help,
        )),
        other => Err(CliError::disagree(format!("{what} was refused: {}", other.name()), other.info().help)),
    }
}
