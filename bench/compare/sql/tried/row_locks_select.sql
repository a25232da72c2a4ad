-- Tried: the usual form, which looks the id up, locks both rows with SELECT … FOR NO KEY UPDATE, checks, then writes.

create function post_transfer(t_id uuid, t_debit bigint, t_credit bigint, t_asset integer, t_amount bigint, t_code smallint)
returns smallint language plpgsql as $$
begin
    return post_one(t_id, t_debit, t_credit, t_asset, t_amount, t_code);
end $$;
