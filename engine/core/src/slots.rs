//! Where an account is: key → slot, in a table that is made for looking up many at a time.
//!
//! An entry is eight bytes, so that one cache miss finds a slot and a second one the account. Looking up a batch goes in
//! passes, entries first and accounts after, whose misses overlap. Accounts are never removed. A table that is half full is
//! followed by one of twice the size, into which each further opening takes some entries over: none waits for all.

use zerocopy::FromZeros;

use crate::account::AccountKey;
use crate::accounts::Account;
use crate::huge_pages;
use crate::prefetch::prefetch;

/// Says that there is no slot.
pub const UNKNOWN: u32 = u32::MAX;

/// Accounts that go through a pass together.
const PASS: usize = 128;
/// Entries of the first table.
const FIRST: usize = 64;
/// Places of the old table that are gone through with each opening: at least as fast as the new one fills.
const TAKEN_OVER: usize = 16;

#[derive(Clone, Copy, FromZeros)]
struct Entry {
    /// High half of the key's hash.
    tag: u32,
    /// The slot and one; 0 = free.
    slot: u32,
}

/// A hash table with linear probing, at most half full; its size is a power of two.
struct Entries(Vec<Entry>);

impl Entries {
    fn start(&self, hash: u64) -> usize {
        hash as usize & (self.0.len() - 1)
    }

    /// The slot with a hash that `is` the one.
    #[inline(always)]
    fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> u32 {
        let mut at = self.start(hash);
        loop {
            let entry = self.0[at];
            if entry.slot == 0 {
                return UNKNOWN;
            }
            if entry.tag == (hash >> 32) as u32 && is(entry.slot - 1) {
                return entry.slot - 1;
            }
            at = (at + 1) & (self.0.len() - 1);
        }
    }

    fn put(&mut self, hash: u64, slot: u32) {
        let mut at = self.start(hash);
        while self.0[at].slot != 0 {
            at = (at + 1) & (self.0.len() - 1);
        }
        self.0[at] = Entry { tag: (hash >> 32) as u32, slot: slot + 1 };
    }
}

/// The table.
pub struct Slots {
    seed: u64,
    entries: Entries,
    used: usize,
    /// The table before, while entries are taken over from it; how many of its places have been gone through.
    old: Option<(Entries, usize)>,
}

impl Slots {
    /// An empty table. The seed should be random, so that nobody can choose keys that collide.
    pub fn new(seed: u64) -> Slots {
        Slots { seed, entries: Entries(huge_pages::zeroed(FIRST)), used: 0, old: None }
    }

    /// The slot of an account.
    pub fn find(&self, key: &AccountKey, accounts: &[Account]) -> u32 {
        self.find_hashed(key.hash(self.seed), key, accounts)
    }

    fn find_hashed(&self, hash: u64, key: &AccountKey, accounts: &[Account]) -> u32 {
        let is = |slot: u32| accounts[slot as usize].is(key);
        match (self.entries.find(hash, is), &self.old) {
            (UNKNOWN, Some((old, _))) => old.find(hash, is),
            (slot, _) => slot,
        }
    }

    /// Asks for the entry of an account. Gives the hash by which to go on.
    #[inline(always)]
    pub fn touch(&self, key: &AccountKey) -> u64 {
        let hash = key.hash(self.seed);
        prefetch(&self.entries.0[self.entries.start(hash)]);
        hash
    }

    /// The slot that most probably is that of a touched account; asks for the account.
    #[inline(always)]
    pub fn guess(&self, hash: u64, accounts: &[Account]) -> u32 {
        // The first with the hash's tag, without a look at the account.
        let slot = self.entries.find(hash, |_| true);
        if let Some(account) = accounts.get(slot as usize) {
            prefetch(account);
        }
        slot
    }

    /// The slot of an account, given the guess.
    #[inline(always)]
    pub fn find_guessed(&self, guess: u32, hash: u64, key: &AccountKey, accounts: &[Account]) -> u32 {
        let is_it = match guess {
            UNKNOWN => self.old.is_none(),
            slot => accounts[slot as usize].is(key),
        };
        if is_it { guess } else { self.find_hashed(hash, key, accounts) }
    }

    /// The slots of many accounts, in order, into `slots`; the accounts are in the cache then. Passes of little work each, so that
    /// many misses of one kind are under way at a time: entries, then accounts.
    pub fn find_all(&self, keys: &[AccountKey], accounts: &[Account], slots: &mut Vec<u32>) {
        slots.clear();
        let mut hashes = [0; PASS];
        for keys in keys.chunks(PASS) {
            let hashes = &mut hashes[..keys.len()];
            for (hash, key) in hashes.iter_mut().zip(keys) {
                *hash = self.touch(key);
            }
            let from = slots.len();
            slots.extend(hashes.iter().map(|&hash| self.guess(hash, accounts)));
            for ((slot, key), hash) in slots[from..].iter_mut().zip(keys).zip(hashes) {
                *slot = self.find_guessed(*slot, *hash, key, accounts);
            }
        }
    }

    /// Adds the account at `slot`, which is not in the table yet.
    pub fn insert(&mut self, slot: u32, accounts: &[Account]) {
        if self.used * 2 >= self.entries.0.len() {
            assert!(self.old.is_none(), "the old table is taken over before the new one is half full");
            let larger = Entries(huge_pages::zeroed(self.entries.0.len() * 2));
            self.old = Some((std::mem::replace(&mut self.entries, larger), 0));
        }
        self.used += 1;
        self.take_over(accounts);
        self.entries.put(accounts[slot as usize].key().hash(self.seed), slot);
    }

    /// Takes some entries over from the old table.
    fn take_over(&mut self, accounts: &[Account]) {
        let Some((old, gone_through)) = &mut self.old else { return };
        let until = old.0.len().min(*gone_through + TAKEN_OVER);
        for entry in old.0[*gone_through..until].iter().filter(|entry| entry.slot != 0) {
            let slot = entry.slot - 1;
            self.entries.put(accounts[slot as usize].key().hash(self.seed), slot);
        }
        *gone_through = until;
        if until == old.0.len() {
            self.old = None;
        }
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
            if n < 300 || n.is_multiple_of(1_999) {
                let keys: Vec<AccountKey> = (0..=n + 5).map(key).collect();
                let mut found = Vec::new();
                accounts.find_all(&keys, &mut found);
                assert!(found.iter().take(n as usize + 1).copied().eq(0..=n), "also while entries are taken over");
                assert_eq!(found[n as usize + 1..], [UNKNOWN; 5]);
            }
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
