//! Reads: asked of the shards between two rounds, or answered from what the coordinator knows, or handed to history.

use std::sync::Arc;
use std::time::{Duration, Instant};

use florin_core::coordinator::Ticket;
use florin_core::entry::{AccountRecord, Moment};
use florin_core::institution::FIRST_INSTITUTION;
use florin_wal::LogWriter;

use super::watch::Watcher;
use super::{CoordinatorActor, Pending, Release};
use crate::handle::{Command, EngineStats, Reply};
use crate::history::{Job, Place, Query, Wanted};
use crate::shard_actor::{ShardAnswer, ShardRead, ToShard};

/// A read of which answers of shards are missing.
pub(super) struct PendingRead {
    /// Whose data it is about; none: the engine's own.
    institution: Option<u32>,
    read: Arc<ShardRead>,
    then: AfterRead,
    answers: Vec<ShardAnswer>,
    after: u64,
    position: u64,
}

/// What becomes of the shards' answers.
pub(super) enum AfterRead {
    Accounts,
    List,
    Statement { query: Query },
    BalanceAt { moment: Moment },
    Stats,
}

impl CoordinatorActor {
    pub(super) fn start_read(&mut self, ticket: Ticket, after: u64, position: u64) {
        let (pending, _) = self.pending.get_mut(&ticket).expect("a read that was submitted");
        if asks_as(pending).is_some_and(|institution| !self.core.institutions().contains(institution)) {
            let (_, on_reply) = self.pending.remove(&ticket).expect("a read that was submitted");
            self.release(after, Release::Reply(Reply::InstitutionUnknown, on_reply));
            return;
        }
        match pending {
            Pending::Read(pending) => {
                (pending.after, pending.position) = (after, position);
                let read = pending.read.clone();
                self.tell_shards(|| ToShard::Read { ticket, read: read.clone() });
            }
            _ => self.answer_own(ticket, after, position),
        }
    }

    /// Reads that need no shard.
    pub(super) fn answer_own(&mut self, ticket: Ticket, after: u64, position: u64) {
        let (pending, on_reply) = self.pending.remove(&ticket).expect("a read that was submitted");
        let Pending::Own(command) = pending else { unreachable!("only reads come here") };
        // A position of another ledger, or from before this one was restored: going on from it would pass rows over.
        if let Command::ByReference { after: seen, .. }
        | Command::Linked { after: seen, .. }
        | Command::Watch { after: seen, .. } = *command
            && seen > position
        {
            self.release(after, Release::Reply(Reply::PositionUnknown(position), on_reply));
            return;
        }
        match *command {
            Command::LookUpTransactions { institution, ids } => {
                let place = |id: &u128| match self.core.find_id(institution, *id) {
                    Some(sequence) => Place::Row(sequence),
                    None if self.core.may_be_old(institution, *id) => Place::OldId(*id),
                    None => Place::Unknown,
                };
                let places = ids.iter().map(place).collect();
                self.release(after, Release::Job(Job::Transactions { institution, places, position }, on_reply));
            }
            Command::Assets => {
                let assets = self.core.assets().iter().cloned().collect();
                self.release(after, Release::Reply(Reply::Assets(assets), on_reply));
            }
            Command::Institutions { institution } => {
                let visible = |number: u32| institution == FIRST_INSTITUTION || number == institution;
                let all = self.core.institutions().iter().filter(|(number, _)| visible(*number));
                let institutions = all.map(|(number, known)| (number, known.clone())).collect();
                self.release(after, Release::Reply(Reply::Institutions(institutions), on_reply));
            }
            Command::ByReference { institution, reference, after: seen, limit } => {
                let want = Wanted::Reference(reference);
                self.release(
                    after,
                    Release::Job(Job::Page { institution, want, after: seen, limit, position }, on_reply),
                );
            }
            Command::Linked { institution, id, after: seen, limit } => {
                // From the first row on: a post may name an id that is used only later.
                let want = Wanted::LinkedTo(id);
                self.release(
                    after,
                    Release::Job(Job::Page { institution, want, after: seen, limit, position }, on_reply),
                );
            }
            Command::Snapshot => self.release(after, Release::Snapshot(on_reply)),
            Command::Watch { institution, after, limit, wait_ms } => {
                let until = Instant::now() + Duration::from_millis(u64::from(wait_ms));
                self.watch(Watcher { institution, after, limit, until, on_reply, tried: false });
            }
            _ => unreachable!("only these need no shard"),
        }
    }

    pub(super) fn on_answer(&mut self, ticket: Ticket, answer: ShardAnswer) {
        let shards = self.shards.len();
        let (pending, _) = self.pending.get_mut(&ticket).expect("a read that was submitted");
        let Pending::Read(pending) = pending else { unreachable!("only reads are answered by shards") };
        pending.answers.push(answer);
        if pending.answers.len() < shards {
            return;
        }
        let (pending, on_reply) = self.pending.remove(&ticket).expect("a read that was submitted");
        let Pending::Read(pending) = pending else { unreachable!("only reads are answered by shards") };
        let PendingRead { read, then, answers, after, position, .. } = *pending;
        let release = match then {
            AfterRead::Accounts => {
                Release::Reply(Reply::Accounts { accounts: merge_accounts(&read, answers), position }, on_reply)
            }
            AfterRead::List => {
                Release::Reply(Reply::AccountPage { accounts: merge_list(&read, answers), position }, on_reply)
            }
            AfterRead::Statement { query } => match merge_accounts(&read, answers).pop().flatten() {
                None => Release::Reply(Reply::Statement(None), on_reply),
                Some(account) => Release::Job(Job::Statement { account: Box::new(account), query, position }, on_reply),
            },
            AfterRead::BalanceAt { moment } => match merge_accounts(&read, answers).pop().flatten() {
                None => Release::Reply(Reply::BalanceAt(None), on_reply),
                Some(account) => {
                    Release::Job(Job::BalanceAt { account: Box::new(account), moment, position }, on_reply)
                }
            },
            AfterRead::Stats => Release::Reply(Reply::Stats(Box::new(self.stats(&answers))), on_reply),
        };
        self.release(after, release);
    }

    pub(super) fn stats(&self, answers: &[ShardAnswer]) -> EngineStats {
        let counters = self.core.counters();
        let (indexes, snapshots, runs) = (self.history.stats(), self.history.snapshots(), self.history.ids());
        let (scrub, packing) = (self.history.scrub(), self.history.packing());
        let log = self.log.writer().map(LogWriter::stats).unwrap_or_default();
        let count = |a: &ShardAnswer| if let ShardAnswer::Count(n) = a { *n as u64 } else { 0 };
        EngineStats {
            shards: self.shards.len(),
            accounts: answers.iter().map(count).sum(),
            ids: self.core.ids(),
            ids_recent: self.core.recent_ids() as u64,
            holds: self.core.holds().len() as u64,
            sequence: self.core.last_sequence(),
            frame_decided: self.core.last_round(),
            frame_durable: self.durable,
            rounds: counters.rounds,
            posted: counters.posted,
            refused: counters.refused,
            repeats: counters.repeats,
            votes: counters.votes,
            votes_maybe: counters.votes_maybe,
            groups: log.groups,
            log_bytes: log.disk_bytes,
            // The thread of the indexes learns of segments between two of them; a ledger that is only read has no writer.
            segments_sealed: indexes.sealed.max(log.segment.saturating_sub(1)),
            packs: packing.packs,
            segments_packed: packing.segments,
            pack_bytes_saved: packing.saved,
            segments_indexed: indexes.indexed,
            indexes_built: indexes.built,
            index_build_us: indexes.build_us,
            snapshot_frame: snapshots.frame,
            snapshot_folded: snapshots.folded,
            snapshots_made: snapshots.made,
            snapshot_bytes: snapshots.bytes,
            snapshot_us: snapshots.us,
            id_runs: runs.runs,
            id_run_segment: runs.segment,
            id_run_bytes: runs.bytes,
            id_run_memory: runs.memory,
            id_runs_made: runs.made,
            id_runs_merged: runs.merged,
            id_runs_damaged: runs.damaged,
            id_runs_remade: runs.remade,
            ids_looked_up: runs.looked_up,
            ids_looked_up_in_vain: runs.in_vain,
            scrub_rounds: scrub.rounds,
            scrub_bytes: scrub.bytes,
            scrub_damage: scrub.damage,
            scrub_round_ended_ns: scrub.round_ended_ns,
            scrub_file: scrub.file,
            scrub_last_damage: scrub.last_damage,
            io: self.io.clone(),
            round_us: [50.0, 99.0, 99.9, 100.0].map(|p| self.round_us.value_at_percentile(p)),
            stages: self.common.stages.figures(),
        }
    }
}

/// A read that the shards answer.
pub(super) fn read(institution: Option<u32>, read: ShardRead, then: AfterRead) -> Pending {
    let read = Arc::new(read);
    Pending::Read(Box::new(PendingRead { institution, read, then, answers: Vec::new(), after: 0, position: 0 }))
}

/// The institution whose data a read is about.
fn asks_as(pending: &Pending) -> Option<u32> {
    match pending {
        Pending::Read(read) => read.institution,
        Pending::Own(command) => match &**command {
            Command::LookUpTransactions { institution, .. }
            | Command::Institutions { institution }
            | Command::ByReference { institution, .. }
            | Command::Linked { institution, .. }
            | Command::Watch { institution, .. } => Some(*institution),
            _ => None,
        },
        _ => None,
    }
}

fn merge_accounts(read: &ShardRead, answers: Vec<ShardAnswer>) -> Vec<Option<AccountRecord>> {
    let ShardRead::Accounts(keys) = read else { unreachable!("the answer is to a look-up") };
    let mut accounts = vec![None; keys.len()];
    for answer in answers {
        if let ShardAnswer::Accounts(found) = answer {
            for (at, account) in found {
                accounts[at] = Some(account);
            }
        }
    }
    accounts
}

fn merge_list(read: &ShardRead, answers: Vec<ShardAnswer>) -> Vec<AccountRecord> {
    let ShardRead::List { limit, .. } = read else { unreachable!("the answer is to a listing") };
    let mut accounts: Vec<AccountRecord> = Vec::new();
    for answer in answers {
        if let ShardAnswer::List(part) = answer {
            accounts.extend(part);
        }
    }
    accounts.sort_unstable_by_key(|a| a.opened);
    accounts.truncate(*limit);
    accounts
}
