-- One call per transfer, row locks: each update locks its row until the commit, the lower id first, and checks the floor.
-- The look-up of the id and the separate locking of `post_one` are saved: the transfer is taken for new and for payable.
-- Where it is not, the call fails as a whole, with unique_violation, check_violation or FL001, and the client calls `post_one_by_one`.

create function post_transfer(t_id uuid, t_debit bigint, t_credit bigint, t_asset integer, t_amount bigint, t_code smallint)
returns smallint language plpgsql as $$
declare
    d_balance bigint;
    d_version bigint;
    c_balance bigint;
    c_version bigint;
begin
    insert into transfers (id, debit, credit, amount, asset, code, outcome)
    values (t_id, t_debit, t_credit, t_amount, t_asset, t_code, 0);
    if t_debit < t_credit then
        update accounts set balance = balance - t_amount, version = version + 1
         where id = t_debit and asset = t_asset and (floor is null or balance - t_amount >= floor)
        returning balance, version into d_balance, d_version;
        update accounts set balance = balance + t_amount, version = version + 1
         where id = t_credit and asset = t_asset
        returning balance, version into c_balance, c_version;
    else
        update accounts set balance = balance + t_amount, version = version + 1
         where id = t_credit and asset = t_asset
        returning balance, version into c_balance, c_version;
        update accounts set balance = balance - t_amount, version = version + 1
         where id = t_debit and asset = t_asset and (floor is null or balance - t_amount >= floor)
        returning balance, version into d_balance, d_version;
    end if;
    if d_version is null or c_version is null then
        raise exception 'not posted' using errcode = 'FL001';
    end if;
    insert into entries (account, version, amount, balance, transfer)
    values (t_debit, d_version, -t_amount, d_balance, t_id),
           (t_credit, c_version, t_amount, c_balance, t_id);
    return 0;
end $$;
