//! Where an account is: key → slot, in a table that is made for looking up many at a time.
//!
//! An entry is eight bytes, so that one cache miss finds a slot and a second one the account. Looking up a batch goes in
//! passes, entries first and accounts after, whose misses overlap. Accounts are never removed.

use crate::account::AccountKey;
use crate::accounts::Account;
use crate::huge_pages;

/// Says that there is no slot.
pub const UNKNOWN: u32 = u32::MAX;

/// Accounts that go through a pass together.
const PASS: usize = 128;

#[derive(Clone, Copy)]
struct Entry {
    /// High half of the key's hash.
    tag: u32,
    slot: u32,
}

const EMPTY: Entry = Entry { tag: 0, slot: UNKNOWN };

/// The table. Open addressing with linear probing, at most half full.
pub struct Slots {
    seed: u64,
    entries: Vec<Entry>,
    used: usize,
}

impl Slots {
    /// An empty table. The seed should be random, so that nobody can choose keys that collide.
    pub fn new(seed: u64) -> Slots {
        Slots { seed, entries: vec![EMPTY; 64], used: 0 }
    }

    fn start(&self, hash: u64) -> (usize, u32) {
        (hash as usize & (self.entries.len() - 1), (hash >> 32) as u32)
    }

    /// The slot of an account.
    pub fn find(&self, key: &AccountKey, accounts: &[Account]) -> u32 {
        let (mut at, tag) = self.start(key.hash(self.seed));
        loop {
            let entry = self.entries[at];
            if entry.slot == UNKNOWN || (entry.tag == tag && accounts[entry.slot as usize].is(key)) {
                return entry.slot;
            }
            at = (at + 1) & (self.entries.len() - 1);
        }
    }

    /// The slots of many accounts, in order, into `slots`; the accounts are in the cache then. Three passes of little work each, so
    /// that many misses of one kind are under way at a time: hashes, entries, accounts.
    pub fn find_all(&self, keys: &[AccountKey], accounts: &[Account], slots: &mut Vec<u32>) {
        slots.clear();
        let mut hashes = [0; PASS];
        for keys in keys.chunks(PASS) {
            for (hash, key) in hashes.iter_mut().zip(keys) {
                *hash = key.hash(self.seed);
            }
            let from = slots.len();
            slots.extend(hashes[..keys.len()].iter().map(|&hash| self.likely(hash)));
            let touched = slots[from..].iter().filter_map(|&slot| accounts.get(slot as usize)).map(Account::touch);
            std::hint::black_box(touched.fold(0, u64::wrapping_add));
            for (slot, key) in slots[from..].iter_mut().zip(keys) {
                if *slot != UNKNOWN && !accounts[*slot as usize].is(key) {
                    *slot = self.find(key, accounts);
                }
            }
        }
    }

    /// The slot of the first entry with the hash's tag, without a look at the account.
    #[inline]
    fn likely(&self, hash: u64) -> u32 {
        let (mut at, tag) = self.start(hash);
        loop {
            let entry = self.entries[at];
            if entry.slot == UNKNOWN || entry.tag == tag {
                return entry.slot;
            }
            at = (at + 1) & (self.entries.len() - 1);
        }
    }

    /// Adds the account at `slot`, which is not in the table yet.
    pub fn insert(&mut self, slot: u32, accounts: &[Account]) {
        if self.used * 2 >= self.entries.len() {
            let larger = huge_pages::filled(EMPTY, self.entries.len() * 2);
            let entries = std::mem::replace(&mut self.entries, larger);
            for entry in entries.iter().filter(|e| e.slot != UNKNOWN) {
                self.place(entry.slot, accounts);
            }
        }
        self.used += 1;
        self.place(slot, accounts);
    }

    fn place(&mut self, slot: u32, accounts: &[Account]) {
        let (mut at, tag) = self.start(accounts[slot as usize].key().hash(self.seed));
        while self.entries[at].slot != UNKNOWN {
            at = (at + 1) & (self.entries.len() - 1);
        }
        self.entries[at] = Entry { tag, slot };
    }
}

#[cfg(test)]
mod tests {
    use zerocopy::FromZeros;

    use super::*;
    use crate::accounts::Accounts;
    use crate::request::AccountRow;

    #[test]
    fn what_was_inserted_is_found_alone_and_in_batches_and_nothing_else_is() {
        let mut accounts = Accounts::new(3);
        let key = |n: u32| AccountKey { institution: n % 3, account: u128::from(n / 3) << 64 };
        for n in 0..10_000 {
            assert_eq!(accounts.find(&key(n)), None);
            accounts.open(key(n), &AccountRow::new_zeroed(), 1, 1);
        }
        let keys: Vec<AccountKey> = (0..20_000).map(key).collect();
        let mut found = Vec::new();
        accounts.find_all(&keys, &mut found);
        for (n, slot) in found.into_iter().enumerate() {
            let expected = (n < 10_000).then_some(n);
            assert_eq!((accounts.find(&keys[n]), slot), (expected, expected.map_or(UNKNOWN, |n| n as u32)));
        }
    }
}
