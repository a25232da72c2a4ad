-- Many transfers per call, as in batched.sql, but without a table of entries: versions and balances after of both sides are
-- columns of the transfer. One row instead of three, and less WAL; a statement of an account would need two indexes.

drop view all_entries;
drop table entries;
drop table transfers cascade;
drop function post_one_by_one, post_one;

create table transfers (
    id             uuid        primary key,
    debit          bigint      not null,
    credit         bigint      not null,
    amount         bigint      not null,
    debit_version  bigint,
    debit_balance  bigint,
    credit_version bigint,
    credit_balance bigint,
    booked_at      timestamptz not null default now(),
    asset          integer     not null,
    code           smallint    not null,
    outcome        smallint    not null,
    check (amount > 0),
    check (debit <> credit)
);

create view all_entries as
    select debit as account, debit_version as version, -amount as amount, debit_balance as balance from transfers where outcome = 0
    union all
    select credit, credit_version, amount, credit_balance from transfers where outcome = 0;

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
    if result = 0 then
        update accounts set balance = balance - t_amount, version = version + 1 where id = t_debit;
        update accounts set balance = balance + t_amount, version = version + 1 where id = t_credit;
        insert into transfers (id, debit, credit, amount, asset, code, outcome,
                               debit_version, debit_balance, credit_version, credit_balance)
        values (t_id, t_debit, t_credit, t_amount, t_asset, t_code, 0,
                d.version + 1, d.balance - t_amount, c.version + 1, c.balance + t_amount);
    else
        insert into transfers (id, debit, credit, amount, asset, code, outcome)
        values (t_id, t_debit, t_credit, t_amount, t_asset, t_code, result);
    end if;
    return result;
end $$;

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

create function post_transfers(
    ids uuid[], debits bigint[], credits bigint[], assets integer[], amounts bigint[], codes smallint[]
) returns smallint[] language plpgsql as $$
declare
    written bigint;
begin
    with item as materialized (
        select * from unnest(ids, debits, credits, assets, amounts, codes) with ordinality
            as i (id, debit, credit, asset, amount, code, place)
    ), leg as materialized (
        select place, debit as account, asset, -amount as amount from item
        union all
        select place, credit, asset, amount from item
    ), total as materialized (
        select account, sum_bigint(amount) as amount, count(*) as entries
          from leg group by account order by account
    ), updated as (
        update accounts a
           set balance = a.balance + t.amount, version = a.version + t.entries
          from total t
         where a.id = t.account
        returning a.id, a.asset, a.floor, a.balance - t.amount as balance, a.version - t.entries as version
    ), entry as materialized (
        select l.place, l.account, l.amount, u.asset = l.asset as fits, u.floor,
               u.version + row_number() over earlier as version,
               u.balance + sum_bigint(l.amount) over earlier as balance
          from leg l join updated u on u.id = l.account
        window earlier as (partition by l.account order by l.place rows unbounded preceding)
    ), inserted as (
        insert into transfers (id, debit, credit, amount, asset, code, outcome,
                               debit_version, debit_balance, credit_version, credit_balance)
        select i.id, i.debit, i.credit, i.amount, i.asset, i.code, 0,
               d.version, d.balance, c.version, c.balance
          from item i
          join entry d on d.place = i.place and d.account = i.debit
          join entry c on c.place = i.place and c.account = i.credit
         where d.fits and c.fits and (d.floor is null or d.balance >= d.floor)
        returning 1
    )
    select count(*) into written from inserted;

    if written <> cardinality(ids) then
        raise exception 'not all posted' using errcode = 'FL001';
    end if;
    return array_fill(0::smallint, array[cardinality(ids)]);
end $$;
