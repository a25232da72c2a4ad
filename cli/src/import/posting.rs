//! Posts rows in the order of the file: batches of some hundred, several requests in flight on one connection.
//!
//! Requests of a connection are sequenced in the order they are sent, so the pipeline keeps the order of the file.

use std::collections::VecDeque;

use florin_core::entry::PostReply;
use florin_core::outcome::Outcome;
use florin_core::request::ItemResult;
use florin_net::{Client, Transaction};
use indicatif::ProgressBar;
use tokio::task::JoinHandle;

use super::check::Fate;
use super::file::{ImportFile, Row};
use super::plan::Need;
use crate::client::client_error;
use crate::error::{CliError, CliResult};
use crate::ids::transaction_of_row;

/// Rows of one request: large enough to fill a write to the log, small enough for a steady progress bar.
const BATCH_ROWS: usize = 500;
/// Bytes of rows and vouchers of one request, below the limit of 1 MiB.
const BATCH_BYTES: usize = 768 << 10;
/// Requests under way at one time.
const IN_FLIGHT: usize = 8;
/// Transactions asked for in one look-up.
const LOOK_UP_IDS: usize = 1_000;

/// What is posted, to which accounts.
pub struct Posting<'a> {
    /// The connection.
    pub client: &'a Client,
    /// The file.
    pub file: &'a ImportFile,
    /// The account of each name.
    pub needs: &'a [Need],
    /// Asset number.
    pub asset: u32,
    /// Last sequence number before this run posted anything: what is recorded up to it is of an earlier run. A repeat
    /// alone says only that the row was sent before, which may have been on a connection of this run that was lost.
    pub begun: u64,
}

struct Sent {
    /// Index and attempt of each row in the request.
    rows: Vec<(usize, u32)>,
    reply: JoinHandle<Result<PostReply, florin_net::ClientError>>,
}

impl Posting<'_> {
    /// Posts the rows, each as its given attempt, in the order given; `fates` receives what became of them.
    pub async fn post(&self, rows: &[(usize, u32)], fates: &mut [Option<Fate>], bar: &ProgressBar) -> CliResult<()> {
        let mut under_way: VecDeque<Sent> = VecDeque::with_capacity(IN_FLIGHT);
        let mut rest = rows;
        while !rest.is_empty() {
            let (batch, later) = rest.split_at(self.batch_length(rest));
            rest = later;
            if under_way.len() == IN_FLIGHT
                && let Some(first) = under_way.pop_front()
            {
                self.settle(first, fates, bar).await?;
            }
            let transactions: Vec<Transaction> =
                batch.iter().map(|&(row, attempt)| self.transaction(row, attempt)).collect();
            let client = self.client.clone();
            // Tasks of this one-threaded runtime first run in the order they are spawned, and so send in it.
            let reply = tokio::spawn(async move { client.post(&transactions, true).await });
            under_way.push_back(Sent { rows: batch.to_vec(), reply });
        }
        for sent in under_way {
            self.settle(sent, fates, bar).await?;
        }
        Ok(())
    }

    fn batch_length(&self, rows: &[(usize, u32)]) -> usize {
        let mut bytes = 0;
        let fits = rows.iter().take(BATCH_ROWS).take_while(|(row, _)| {
            bytes += florin_core::limits::TRANSFER_ROW_BYTES + self.file.rows[*row].voucher.len();
            bytes <= BATCH_BYTES
        });
        fits.count().max(1)
    }

    fn transaction(&self, row: usize, attempt: u32) -> Transaction {
        let row: &Row = &self.file.rows[row];
        let (account, other) = (self.needs[row.account as usize].id, self.needs[row.counterparty as usize].id);
        let (debit, credit) = if row.credit { (other, account) } else { (account, other) };
        Transaction {
            // A row id that is a number can be searched for; others have only their hash.
            reference: row.id.parse().unwrap_or(0),
            value_date: row.value_date,
            voucher: row.voucher.to_vec(),
            ..Transaction::transfer(transaction_of_row(&row.id, attempt), debit, credit, self.asset, row.amount)
        }
    }

    async fn settle(&self, sent: Sent, fates: &mut [Option<Fate>], bar: &ProgressBar) -> CliResult<()> {
        let reply = sent.reply.await.map_err(|e| CliError::cannot(format!("a request was lost: {e}"), AGAIN))?;
        let reply = reply.map_err(|e| CliError { next: AGAIN.to_string(), ..client_error(e) })?;
        let short = || CliError::cannot("the server answered for fewer rows than were sent", AGAIN);
        if reply.count() != sent.rows.len() {
            return Err(short());
        }
        let mut postings = reply.postings.chunks_exact(2);
        for (&(index, attempt), result) in sent.rows.iter().zip(reply.items()) {
            let row = &self.file.rows[index];
            fates[index] = Some(match result.outcome {
                Outcome::Posted => {
                    let pair = postings.next().ok_or_else(short)?;
                    // The debit comes first.
                    let (own, other) = if row.credit { (pair[1], pair[0]) } else { (pair[0], pair[1]) };
                    Fate::Posted {
                        attempt,
                        earlier: result.repeat && self.is_earlier(&result),
                        version: own.version,
                        other_version: other.version,
                        balance: own.balance,
                    }
                }
                outcome => self.refusal(row, attempt, outcome, &result)?,
            });
        }
        bar.inc(sent.rows.len() as u64);
        Ok(())
    }

    /// Finds out what became of later attempts of the rows that were refused in an earlier run.
    pub async fn follow_attempts(&self, fates: &mut [Option<Fate>]) -> CliResult<()> {
        let mut open: Vec<(usize, u32)> = refused_earlier(fates);
        while !open.is_empty() {
            let mut still = Vec::new();
            for part in open.chunks(LOOK_UP_IDS) {
                let ids: Vec<u128> =
                    part.iter().map(|&(row, n)| transaction_of_row(&self.file.rows[row].id, n + 1)).collect();
                let found = self.client.transactions(&ids).await.map_err(client_error)?;
                for (&(index, attempts), transaction) in part.iter().zip(found) {
                    let Some(transaction) = transaction else { continue };
                    let attempt = attempts + 1;
                    let own_id = self.needs[self.file.rows[index].account as usize].id;
                    let own = transaction.postings.iter().find(|p| p.account == own_id);
                    let other = transaction.postings.iter().find(|p| p.account != own_id);
                    fates[index] = Some(match (transaction.result.outcome, own, other) {
                        (Outcome::Posted, Some(own), Some(other)) => Fate::Posted {
                            attempt,
                            earlier: self.is_earlier(&transaction.result),
                            version: own.result.version,
                            other_version: other.result.version,
                            balance: own.result.balance,
                        },
                        (outcome, ..) => {
                            still.push((index, attempt));
                            Fate::Refused {
                                attempts: attempt,
                                earlier: self.is_earlier(&transaction.result),
                                outcome,
                                detail: transaction.result.detail,
                            }
                        }
                    });
                }
            }
            open = still;
        }
        Ok(())
    }

    fn is_earlier(&self, result: &ItemResult) -> bool {
        result.sequence != 0 && result.sequence <= self.begun
    }

    fn refusal(&self, row: &Row, attempt: u32, outcome: Outcome, result: &ItemResult) -> CliResult<Fate> {
        match outcome {
            Outcome::NotPermitted
            | Outcome::RateLimited
            | Outcome::StorageFull
            | Outcome::ShuttingDown
            | Outcome::ReadOnly
            | Outcome::InstitutionUnknown => {
                let what = format!("the import stopped at line {}: {}", row.line, outcome.name());
                Err(CliError::cannot(what, format!("{} Then {AGAIN}", outcome.info().help)))
            }
            outcome => {
                let earlier = result.repeat && self.is_earlier(result);
                Ok(Fate::Refused { attempts: attempt, earlier, outcome, detail: result.detail })
            }
        }
    }
}

/// Rows refused in an earlier run that another attempt could still post, with the attempts made.
pub fn refused_earlier(fates: &[Option<Fate>]) -> Vec<(usize, u32)> {
    let refused = |(row, fate): (usize, &Option<Fate>)| match fate {
        Some(Fate::Refused { attempts, earlier: true, outcome, .. }) if outcome.info().recorded => {
            Some((row, *attempts))
        }
        _ => None,
    };
    fates.iter().enumerate().filter_map(refused).collect()
}

const AGAIN: &str = "run the same command again: rows that were posted are recognised and never posted twice";
