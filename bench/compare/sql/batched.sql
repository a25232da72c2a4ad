-- Many transfers per call, set-based, no loop. Each account is updated once, by the sum of its changes, in the order of
-- account ids; the balance and version of each entry follow from what the update returned, by a window over the batch.
-- An account that any entry would take below its floor, a missing account, a wrong asset: the call fails as a whole with
-- FL001, a repeated id with unique_violation; then the client calls `post_one_by_one`. So results are exact: a refused
-- transfer never changes what later ones of the batch see.

create function post_transfers(
    ids uuid[], debits bigint[], credits bigint[], assets integer[], amounts bigint[], codes smallint[]
) returns smallint[] language plpgsql as $$
declare
    written bigint;
begin
    insert into transfers (id, debit, credit, amount, asset, code, outcome)
    select i.id, i.debit, i.credit, i.amount, i.asset, i.code, 0
      from unnest(ids, debits, credits, assets, amounts, codes) as i (id, debit, credit, asset, amount, code);

    with leg as materialized (
        select place, id, debit as account, asset, -amount as amount
          from unnest(ids, debits, assets, amounts) with ordinality as i (id, debit, asset, amount, place)
        union all
        select place, id, credit, asset, amount
          from unnest(ids, credits, assets, amounts) with ordinality as i (id, credit, asset, amount, place)
    ), total as materialized (
        select account, sum_bigint(amount) as amount, count(*) as entries
          from leg group by account order by account
    ), updated as (
        update accounts a
           set balance = a.balance + t.amount, version = a.version + t.entries
          from total t
         where a.id = t.account
        returning a.id, a.asset, a.floor, a.balance - t.amount as balance, a.version - t.entries as version
    ), entry as (
        select l.account, l.id as transfer, l.amount, u.asset = l.asset as fits, u.floor,
               u.version + row_number() over earlier as version,
               u.balance + sum_bigint(l.amount) over earlier as balance
          from leg l join updated u on u.id = l.account
        window earlier as (partition by l.account order by l.place rows unbounded preceding)
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
