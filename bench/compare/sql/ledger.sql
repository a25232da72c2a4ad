-- The ledger as a good PostgreSQL engineer would keep it for payments: accounts with balance and version, transfers that are
-- unique by their id for ever, and two immutable entries of each with version and balance after.
--
-- Where there was a choice, the one that favours PostgreSQL was taken:
--   amounts and account ids are bigint (Florin: 100 bits and 128 bits), numeric would cost more in each sum and row;
--   no business reference, voucher, dates, principal, holds, freezes, ceilings;
--   entries have no index, so a statement of one account would read the whole table.
-- Outcomes: 0 posted, 1 malformed, 2 id used with other fields, 3 unknown account, 4 other asset, 5 insufficient funds;
-- 100 more for a repeat.

drop schema if exists compare cascade;
create schema compare;

-- Room in each page keeps updates on the page of the old row (HOT), without touching the index.
create table accounts (
    id      bigint  primary key,
    asset   integer not null,
    floor   bigint,                     -- null: none
    balance bigint  not null default 0,
    version bigint  not null default 0
) with (fillfactor = 50);

create table transfers (
    id        uuid        primary key,
    debit     bigint      not null,
    credit    bigint      not null,
    amount    bigint      not null,
    booked_at timestamptz not null default now(),
    asset     integer     not null,
    code      smallint    not null,
    outcome   smallint    not null,
    check (amount > 0),
    check (debit <> credit)
);

create table entries (
    account  bigint not null,
    version  bigint not null,
    amount   bigint not null,           -- negative: a debit
    balance  bigint not null,           -- after it
    transfer uuid   not null
);

-- What the proof of the books reads, whatever way a formulation stores entries.
create view all_entries as select account, version, amount, balance from entries;

-- sum(bigint) is numeric, and slow; this one is exact too and fails on overflow.
create aggregate sum_bigint (bigint) (sfunc = int8pl, stype = bigint, initcond = '0', parallel = safe);

-- One transfer, every rule step by step. A refusal that depends on state is recorded too.
create function post_one(t_id uuid, t_debit bigint, t_credit bigint, t_asset integer, t_amount bigint, t_code smallint)
returns smallint language plpgsql as $$
declare
    known  transfers;
    d      accounts;
    c      accounts;
    result smallint;
begin
    if t_amount <= 0 or t_debit = t_credit then
        return 1;
    end if;
    select * into known from transfers where id = t_id;
    if found then
        if (known.debit, known.credit, known.asset, known.amount, known.code) = (t_debit, t_credit, t_asset, t_amount, t_code) then
            return known.outcome + 100;
        end if;
        return 2;
    end if;

    -- Always in the order of their ids, so that two transfers never wait for each other.
    if t_debit < t_credit then
        select * into d from accounts where id = t_debit for no key update;
        select * into c from accounts where id = t_credit for no key update;
    else
        select * into c from accounts where id = t_credit for no key update;
        select * into d from accounts where id = t_debit for no key update;
    end if;

    result := case
        when d.id is null or c.id is null then 3
        when d.asset <> t_asset or c.asset <> t_asset then 4
        when d.balance - t_amount < d.floor then 5
        else 0
    end;
    insert into transfers (id, debit, credit, amount, asset, code, outcome)
    values (t_id, t_debit, t_credit, t_amount, t_asset, t_code, result);
    if result = 0 then
        update accounts set balance = balance - t_amount, version = version + 1 where id = t_debit;
        update accounts set balance = balance + t_amount, version = version + 1 where id = t_credit;
        insert into entries (account, version, amount, balance, transfer)
        values (t_debit, d.version + 1, -t_amount, d.balance - t_amount, t_id),
               (t_credit, c.version + 1, t_amount, c.balance + t_amount, t_id);
    end if;
    return result;
end $$;

-- Transfers in the order given, each alone: the way out where a faster form met a repeat or a refusal.
create function post_one_by_one(
    ids uuid[], debits bigint[], credits bigint[], assets integer[], amounts bigint[], codes smallint[]
) returns smallint[] language plpgsql as $$
declare
    results smallint[] := '{}';
begin
    perform from accounts where id = any (debits || credits) order by id for no key update;
    for i in 1 .. cardinality(ids) loop
        results := results || post_one(ids[i], debits[i], credits[i], assets[i], amounts[i], codes[i]);
    end loop;
    return results;
end $$;
