-- Tried: with the index that a statement of one account needs, which Florin builds as well.
create unique index entries_of_account on entries (account, version);
