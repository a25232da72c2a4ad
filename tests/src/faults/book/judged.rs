//! After the end of a process: what everybody was told goes to the judge. At the end of a book: everything that can be asked.

use florin_core::entry::StatementEntry;
use florin_net::Client;

use super::Book;
use crate::compare;
use crate::faults::judge::Stretch;
use crate::faults::server;
use crate::heard::{Heard, HeardItem};
use crate::load;
use crate::model::number::STORAGE_FULL;

impl Book<'_> {
    /// After the end of a process: what anybody heard must be there, and what is there must be whole.
    pub fn judge(&mut self, unsynced: Option<Stretch>) {
        let heard = match std::fs::read_to_string(&self.answers) {
            Ok(text) => Heard::parse(&text),
            Err(_) => Heard::default(), // No client was started.
        };
        let _ = std::fs::remove_file(&self.answers);
        for number in heard.asked.keys() {
            self.judge.asked(*number, load::batch(self.seed, *number));
            self.next_batch = self.next_batch.max(number + 1);
        }
        self.judge.read_the_log(&self.data, unsynced, self.tally);
        for (number, results, again) in std::mem::take(&mut self.results) {
            self.judge.compare_results(number, &results, again);
            self.what_was_refused_is_not_there(number, &results);
        }
        for (number, results) in &heard.answered {
            self.what_was_refused_is_not_there(*number, results);
            self.judge.compare_results(*number, results, false);
            for (verdict, _) in results.iter().filter(|(verdict, _)| verdict.outcome != STORAGE_FULL) {
                assert!(
                    verdict.sequence > heard.asked[number],
                    "batch {number} came before what was answered before it"
                );
            }
            self.tally.add("items and changes answered", results.len() as u64);
        }
        heard.reads.iter().for_each(|(account, version, balance)| {
            self.judge.compare_read(*account, *version, *balance);
        });
        for list in std::mem::take(&mut self.lists) {
            self.judge.compare_accounts(&list, self.tally);
        }
        self.note_unanswered(&heard);
    }

    /// Of an item that was refused for want of room the log has nothing, unless it was asked again and answered.
    fn what_was_refused_is_not_there(&self, number: u64, results: &[HeardItem]) {
        for ((verdict, _), id) in results.iter().zip(load::ids(self.judge.batch(number))) {
            let is_there = verdict.outcome == STORAGE_FULL && !self.told.contains(&id) && self.judge.has(id);
            assert!(!is_there, "{id:#x} of batch {number} was refused for want of room and is in the log");
        }
    }

    fn note_unanswered(&mut self, heard: &Heard) {
        for number in heard.asked.keys() {
            let is_refused = |(verdict, _): &HeardItem| verdict.outcome == STORAGE_FULL;
            let answered = heard.answered.get(number);
            if answered.is_none_or(|results| results.iter().any(is_refused)) {
                self.open.insert(*number);
            }
            if answered.is_none() {
                let there = load::ids(self.judge.batch(*number)).iter().any(|id| self.judge.has(*id));
                self.tally.add("batches without an answer", 1);
                self.tally.add("of them not applied", u64::from(!there));
            }
        }
        self.tally.add("batches answered", heard.answered.len() as u64);
        self.tally.add("accounts read under load", heard.reads.len() as u64);
    }

    /// At the end: everything is answered, every transaction is found by its id, every statement is whole from end to end,
    /// and `florin verify` agrees.
    pub async fn close(mut self) {
        let way = self.way();
        let server = self.serve(way).await;
        self.settle(&server).await;
        let client = server.connect().await;
        let all: Vec<u128> = self.judge.batches().values().flat_map(load::items).map(|item| item.id).collect();
        let mut found = vec![];
        for ids in all.chunks(1_000) {
            found.extend(ids.iter().copied().zip(client.transactions(ids).await.expect("an answer")));
        }
        let mut statements = vec![];
        for account in load::accounts() {
            statements.push((account, statement(&client, account).await));
        }
        drop(client);
        server.stop().await;
        self.judge(None);
        for (id, record) in found {
            let expected = self.judge.model().recorded(1, id).expect("everything was asked until it was answered");
            compare::transaction(&record.expect("what was answered is there"), expected);
        }
        for (account, entries) in statements {
            self.judge.compare_statement(account, &entries);
            self.tally.add("statement entries compared", entries.len() as u64);
        }
        server::run(&["verify"], &self.data).await;
        self.tally.add("books verified", 1);
    }
}

async fn statement(client: &Client, account: u128) -> Vec<StatementEntry> {
    let (mut all, mut from) = (vec![], None);
    loop {
        let page = client.statement(account, from, 1_000).await.expect("an answer").expect("an account");
        all.extend(page.entries);
        from = page.next;
        if from.is_none() {
            return all;
        }
    }
}
