//! Items of a post request, one command each: `post`, `hold`, `capture`, `increase`, `release`, `reverse`.
//!
//! Every item has an id of its own, random unless given; whoever lost the answer repeats the command with that id.

pub mod follow;
pub mod post;
mod report;

use clap::Args;
use florin_core::entry::TransactionRecord;
use florin_core::limits::VOUCHER_BYTES_MAX;
use florin_core::outcome::Outcome;
use florin_net::client::results;
use florin_net::{Client, Transaction};

use crate::client::{Target, UnderWay};
use crate::dates::parse_day;
use crate::error::{CliError, CliResult};
use crate::ids::{parse_id, random_id};
use crate::output::Output;

/// What every item can have.
#[derive(Debug, Args)]
pub struct ItemArguments {
    #[command(flatten)]
    pub target: Target,
    /// Id of this item; the same id never applies twice [default: a random one]
    #[arg(long, value_name = "N")]
    id: Option<String>,
    /// Business reference, decimal or 0x… hex
    #[arg(long, value_name = "N")]
    reference: Option<String>,
    /// Business code, 0 to 65535
    #[arg(long, default_value_t = 0)]
    code: u16,
    /// Value date, YYYY-MM-DD
    #[arg(long, value_name = "DATE")]
    value_date: Option<String>,
    /// Text kept with the item, up to 4096 bytes
    #[arg(long, value_name = "TEXT", default_value = "")]
    voucher: String,
}

impl ItemArguments {
    /// The id given, or a random one.
    fn id(&self) -> CliResult<u128> {
        self.id.as_deref().map_or_else(random_id, parse_id)
    }

    /// The item with everything that the arguments say of it.
    fn complete(&self, item: Transaction) -> CliResult<Transaction> {
        let value_date = match &self.value_date {
            None => 0,
            Some(text) => parse_day(text).ok_or_else(|| {
                CliError::cannot(
                    format!("--value-date '{text}' is not a date"),
                    "write YYYY-MM-DD, from 1970-01-02 to 2149-06-06",
                )
            })?,
        };
        let bytes = self.voucher.len();
        if bytes > VOUCHER_BYTES_MAX {
            return Err(CliError::refused(Outcome::VoucherTooLong, format!("the voucher has {bytes} bytes")));
        }
        let reference = self.reference.as_deref().map(parse_id).transpose()?.unwrap_or(0);
        Ok(item
            .with_reference(reference)
            .with_code(self.code)
            .with_value_date(value_date)
            .with_voucher(self.voucher.as_bytes()))
    }
}

/// Sends one item and tells what became of it. `named` is the hold or original that it names.
async fn send(client: &Client, item: &Transaction, named: Option<&TransactionRecord>, output: Output) -> CliResult {
    let mut asked = UnderWay::new(item.id)?;
    let reply = asked.answer(client.post(std::slice::from_ref(item), true)).await?;
    let results = results(std::slice::from_ref(item), &reply).map_err(|error| asked.error(error))?;
    let posted = results.first().ok_or_else(|| asked.unanswered())?;
    let became = format!("{}, sequence {}", posted.result.outcome.name(), posted.result.sequence);
    asked.tell(&became, report::write(client, item, posted, named, output)).await
}
