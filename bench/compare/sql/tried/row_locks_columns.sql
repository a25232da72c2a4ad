-- Tried: row locks on the tables of batched_columns.sql.

create function post_transfer(t_id uuid, t_debit bigint, t_credit bigint, t_asset integer, t_amount bigint, t_code smallint)
returns smallint language plpgsql as $$
declare
    d_balance bigint;
    d_version bigint;
    c_balance bigint;
    c_version bigint;
begin
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
    insert into transfers (id, debit, credit, amount, asset, code, outcome,
                           debit_version, debit_balance, credit_version, credit_balance)
    values (t_id, t_debit, t_credit, t_amount, t_asset, t_code, 0, d_version, d_balance, c_version, c_balance);
    return 0;
end $$;
