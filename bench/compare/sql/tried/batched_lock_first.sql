-- Tried: all rows locked first in the order of their ids, running balances computed from them, then written.

create function post_transfers(
    ids uuid[], debits bigint[], credits bigint[], assets integer[], amounts bigint[], codes smallint[]
) returns smallint[] language plpgsql as $$
declare
    written bigint;
begin
    perform from accounts where id = any (debits || credits) order by id for no key update;

    insert into transfers (id, debit, credit, amount, asset, code, outcome)
    select i.id, i.debit, i.credit, i.amount, i.asset, i.code, 0
      from unnest(ids, debits, credits, assets, amounts, codes) as i (id, debit, credit, asset, amount, code);

    with leg as materialized (
        select place, id, debit as account, asset, -amount as amount
          from unnest(ids, debits, assets, amounts) with ordinality as i (id, debit, asset, amount, place)
        union all
        select place, id, credit, asset, amount
          from unnest(ids, credits, assets, amounts) with ordinality as i (id, credit, asset, amount, place)
    ), entry as materialized (
        select l.account, l.id as transfer, l.amount, a.asset = l.asset as fits, a.floor,
               a.version + row_number() over earlier as version,
               a.balance + sum_bigint(l.amount) over earlier as balance
          from leg l join accounts a on a.id = l.account
        window earlier as (partition by l.account order by l.place rows unbounded preceding)
    ), updated as (
        update accounts a
           set balance = e.balance, version = e.version
          from (select distinct on (account) account, balance, version from entry order by account, version desc) e
         where a.id = e.account
    ), inserted as (
        insert into entries (account, version, amount, balance, transfer)
        select account, version, amount, balance, transfer
          from entry
         where fits and (amount > 0 or floor is null or balance >= floor)
        returning 1
    )
    select count(*) into written from inserted;

    if written <> 2 * cardinality(ids) then
        raise exception 'not all posted' using errcode = 'FL001';
    end if;
    return array_fill(0::smallint, array[cardinality(ids)]);
end $$;
