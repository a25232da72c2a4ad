//! What an import tells at its end: for people and as JSON.

use std::time::Duration;

use florin_core::asset::Asset;
use florin_core::outcome::Outcome;
use florin_core::request::Field;
use serde_json::{Value, json};

use super::check::{Fate, Findings};
use super::file::ImportFile;
use super::plan::Need;
use crate::amount::{format_amount, format_count, format_grouped};
use crate::dates::format_day;
use crate::error::{EXIT_DISAGREE, EXIT_FINE};
use crate::ids::show_id;
use crate::output::Output;

/// Refused rows that are listed for people; `--json` lists all.
const REFUSED_LISTED: usize = 50;

/// Everything that the report needs.
pub struct Report<'a> {
    /// The file's name.
    pub path: &'a str,
    /// Its rows.
    pub file: &'a ImportFile,
    /// Its accounts.
    pub needs: &'a [Need],
    /// Accounts that this run opened.
    pub opened: usize,
    /// The asset.
    pub asset: &'a Asset,
    /// What became of each row.
    pub fates: &'a [Fate],
    /// How the balances compare.
    pub findings: &'a Findings,
    /// Time for posting.
    pub posting: Duration,
    /// Whether accounts were opened with the floors that they need.
    pub allow_overdraft: bool,
}

impl Report<'_> {
    fn refused(&self) -> impl Iterator<Item = (usize, &Fate)> {
        self.fates.iter().enumerate().filter(|(_, fate)| matches!(fate, Fate::Refused { .. }))
    }

    fn posted(&self, wanted: bool) -> usize {
        self.fates.iter().filter(|f| matches!(f, Fate::Posted { earlier, .. } if *earlier == wanted)).count()
    }

    fn late(&self) -> usize {
        self.fates.iter().filter(|f| matches!(f, Fate::Posted { attempt, .. } if *attempt > 1)).count()
    }

    /// 0 if every row is posted and every balance agrees, else 1.
    pub fn exit(&self) -> u8 {
        let fine = self.refused().next().is_none() && self.findings.differences.is_empty();
        if fine { EXIT_FINE } else { EXIT_DISAGREE }
    }

    /// Writes the report.
    pub fn write(&self, output: &Output) {
        if output.json {
            output.object(&self.json());
        } else {
            self.text(output);
        }
    }

    fn text(&self, output: &Output) {
        let money = |minor: i128| format_grouped(minor, self.asset.scale);
        let n = |count: usize| format_count(count as u64);
        let (now, earlier) = (self.posted(false), self.posted(true));
        let rate = if now > 0 && self.posting.as_secs_f64() > 0.0 {
            format!(
                " ({:.2} s, {} rows/s)",
                self.posting.as_secs_f64(),
                format_count((self.fates.len() as f64 / self.posting.as_secs_f64()) as u64)
            )
        } else {
            String::new()
        };
        output.text(format!(
            "{}: {} rows in {} on {} accounts ({} opened now)",
            self.path,
            n(self.fates.len()),
            self.asset.code,
            n(self.needs.len()),
            n(self.opened)
        ));
        output.text(format!(
            "posted    {} now, {} by an earlier run, {} refused{rate}",
            n(now),
            n(earlier),
            n(self.refused().count())
        ));
        let lowered: Vec<_> = self.needs.iter().filter_map(|need| need.floor.filter(|f| *f < 0)).collect();
        if let Some(lowest) = lowered.iter().min() {
            output.text(format!(
                "floors    {} accounts may be overdrawn, the lowest to {}",
                n(lowered.len()),
                money(*lowest)
            ));
        }
        if self.allow_overdraft && !self.file.has_balances {
            output.text("floors    the file records no balances, so --allow-overdraft lowers no floor");
        }
        if !self.file.ignored.is_empty() {
            output.text(format!("ignored   columns {}", self.file.ignored.join(", ")));
        }
        let differences = &self.findings.differences;
        let explained = differences.iter().filter(|d| d.explained).count();
        if !self.file.has_balances {
            output.text("balances  none recorded in the file (no column balance_after_minor), so none compared");
        } else {
            output.text(format!("balances  {} agree, {} differ", n(self.findings.agreeing), n(differences.len())));
        }
        for (row, fate) in self.refused().take(REFUSED_LISTED) {
            let (row, Fate::Refused { attempts, outcome, detail, .. }) = (&self.file.rows[row], fate) else { continue };
            let tries = if *attempts > 1 { format!(" after {attempts} attempts") } else { String::new() };
            let why = match outcome {
                Outcome::IdUsedWithOtherFields => format!("{}, first {}", outcome.name(), field_name(*detail)),
                _ => outcome.name().to_string(),
            };
            output.text(format!(
                "refused   line {}: id {}, {}, account {}, {} {} {}: {why}{tries}",
                row.line,
                row.id,
                format_day(row.value_date),
                self.file.names[row.account as usize],
                if row.credit { "credit" } else { "debit" },
                money(row.amount as i128),
                self.asset.code,
            ));
        }
        let refused = self.refused().count();
        if refused > REFUSED_LISTED {
            output.text(format!("refused   and {} more; --json lists all", n(refused - REFUSED_LISTED)));
        }
        match self.findings.first_unexplained() {
            Some(first) => {
                let row = &self.file.rows[first.row];
                output.text(format!(
                    "first unexplained difference: line {}: account {}: the file records {}, the ledger has {}",
                    row.line,
                    self.file.names[row.account as usize],
                    money(first.recorded),
                    money(first.ledger)
                ));
                output.text(format!(
                    "  next: look at the account: florin statement @{}",
                    self.file.names[row.account as usize]
                ));
            }
            None if explained > 0 => {
                let late =
                    if self.late() > 0 { format!(" or posted late ({})", n(self.late())) } else { String::new() };
                output.text(format!(
                    "explained all {}: each difference is the sum of the account's rows refused so far{late}",
                    n(explained)
                ));
            }
            None => {}
        }
        if self.exit() == EXIT_FINE {
            output.text(if self.file.has_balances && self.findings.agreeing > 0 {
                "every row is posted, every balance agrees"
            } else {
                "every row is posted"
            });
        } else if refused > 0 && self.allow_overdraft {
            output.text("  next: correct the cause, then run it with --retry-refused");
        } else if refused > 0 {
            output.text(
                "  next: import with --allow-overdraft into a fresh ledger, or correct the cause and use --retry-refused",
            );
        }
    }

    fn json(&self) -> Value {
        let minor = |value: i128| value.to_string();
        let refused: Vec<Value> = self
            .refused()
            .filter_map(|(index, fate)| {
                let (row, Fate::Refused { attempts, earlier, outcome, detail }) = (&self.file.rows[index], fate) else {
                    return None;
                };
                let field = (*outcome == Outcome::IdUsedWithOtherFields).then(|| field_name(*detail));
                Some(json!({
                    "line": row.line, "id": row.id, "account": self.file.names[row.account as usize],
                    "amount_minor": minor(row.effect()), "outcome": outcome.name(), "differing_field": field,
                    "attempts": attempts, "refused_earlier": earlier,
                }))
            })
            .collect();
        let first = self.findings.first_unexplained().map(|d| {
            let row = &self.file.rows[d.row];
            json!({
                "line": row.line, "id": row.id, "account": self.file.names[row.account as usize],
                "account_id": show_id(self.needs[row.account as usize].id),
                "recorded_minor": minor(d.recorded), "ledger_minor": minor(d.ledger),
                "recorded": format_amount(d.recorded, self.asset.scale), "ledger": format_amount(d.ledger, self.asset.scale),
            })
        });
        json!({
            "file": self.path,
            "asset": self.asset.code,
            "rows": self.fates.len(),
            "accounts": self.needs.len(),
            "accounts_opened": self.opened,
            "accounts_with_overdraft": self.needs.iter().filter(|n| n.floor.is_some_and(|f| f < 0)).count(),
            "posted_now": self.posted(false),
            "posted_earlier": self.posted(true),
            "posted_late": self.late(),
            "refused": refused,
            "balances_agree": self.findings.agreeing,
            "balances_differ": self.findings.differences.len(),
            "differences_explained": self.findings.differences.iter().filter(|d| d.explained).count(),
            "first_unexplained": first,
            "ignored_columns": self.file.ignored,
            "posting_seconds": self.posting.as_secs_f64(),
            "fine": self.exit() == EXIT_FINE,
        })
    }
}

/// The name of a field by its number.
pub fn field_name(number: u16) -> String {
    Field::name_of(number).map_or_else(|| format!("field {number}"), str::to_string)
}
