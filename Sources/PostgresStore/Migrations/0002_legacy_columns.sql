-- Brings tables of the original 001 and 002 to the columns of schema v2.0, keeping every row.
--
-- Where a database was made by 0001 or by the production init.sql, every statement finds its work
-- done. Columns are added and filled, none is dropped, renamed or retyped, with these consequences
-- for a grid.locations of 001: "id" stays a uuid, capacity_kw, status and created_at stay, and
-- grid_code stays varchar(50), because a code longer than 20 could not be kept otherwise.

-- The trades of 001 name no parties. They get '' rather than the accounts of their orders, as 002
-- gave it, so that both ways to v2.0 end with the same rows. Schema v2.0 has no default for the
-- parties: a new trade without them is refused instead of stored as ''.
alter table trading.trades
  add column if not exists buyer_id      varchar(100)  not null default '',
  add column if not exists seller_id     varchar(100)  not null default '',
  add column if not exists grid_fee      numeric(15,6) not null default 0.0,
  add column if not exists carbon_offset numeric(15,6) not null default 0.0;
alter table trading.trades
  alter column buyer_id      drop default,
  alter column seller_id     drop default,
  alter column grid_fee      set default 0.0,
  alter column carbon_offset set default 0.0;

-- The defaults serve the rows that are there; v2.0 demands these values of every new row.
alter table grid.locations
  add column if not exists substation       varchar(100)  not null default '',
  add column if not exists capacity_mw      numeric(10,2),
  add column if not exists current_load_mw  numeric(10,2) not null default 0,
  add column if not exists congestion_level varchar(20)   not null default 'low';
alter table grid.locations
  alter column substation      drop default,
  alter column current_load_mw drop default;

-- 001 let most columns be null, v2.0 does not. What is unknown becomes '' for a name and (NaN,NaN)
-- for a position: (0,0) would be a real place, in the Gulf of Guinea. A missing grid code, which
-- must be unique, is derived from the row's id. updated_at stays: nothing new was learnt.
do $$
begin
  if exists (
    select from pg_catalog.pg_attribute
    where attrelid = 'grid.locations'::regclass and attname = 'capacity_kw' and not attisdropped
  ) then
    update grid.locations
    set capacity_mw = coalesce(capacity_mw, capacity_kw / 1000, 0),
        province    = coalesce(province, ''),
        district    = coalesce(district, ''),
        grid_code   = coalesce(grid_code, 'unnamed-' || left(md5(id::text), 12)),
        coordinates = coalesce(coordinates, point('NaN', 'NaN'))
    where capacity_mw is null or province is null or district is null
      or grid_code is null or coordinates is null;
  end if;
end
$$;
alter table grid.locations
  alter column province    set not null,
  alter column district    set not null,
  alter column grid_code   set not null,
  alter column coordinates set not null,
  alter column capacity_mw set not null;
