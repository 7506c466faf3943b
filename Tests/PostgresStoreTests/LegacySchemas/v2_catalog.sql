-- Lists columns, constraints and indexes of the platform's five schemas as text, one a line.
--
-- The lines are spelled as the description of schema v2.0 spells them: short type names, "serial"
-- for an own sequence, no casts. v2_catalog.expected.txt was made from that description, not from a
-- database.
with tables as (
  select class.oid, namespace.nspname || '.' || class.relname as name
  from pg_class as class
  join pg_namespace as namespace on namespace.oid = class.relnamespace
  where class.relkind in ('r', 'p')
    and namespace.nspname in ('blockchain', 'governance', 'grid', 'monitoring', 'trading')
), lines as (
  select concat_ws(' ',
    'column', tables.name || '.' || attribute.attname,
    replace(replace(format_type(attribute.atttypid, attribute.atttypmod),
      'character varying', 'varchar'), 'timestamp with time zone', 'timestamptz'),
    case when attribute.attnotnull then 'not null' end,
    case
      when pg_get_serial_sequence(tables.name, attribute.attname) is not null then 'serial'
      else 'default ' || pg_get_expr(value.adbin, value.adrelid)
    end) as line
  from tables
  join pg_attribute as attribute on attribute.attrelid = tables.oid
  left join pg_attrdef as value
    on value.adrelid = attribute.attrelid and value.adnum = attribute.attnum
  where attribute.attnum > 0 and not attribute.attisdropped
  union all
  select concat_ws(' ',
    'constraint', tables.name, restriction.conname, pg_get_constraintdef(restriction.oid))
  from tables
  join pg_constraint as restriction on restriction.conrelid = tables.oid
  where restriction.contype in ('p', 'u', 'f', 'c')
  union all
  select concat_ws(' ',
    'index', tables.name, class.relname,
    replace(substring(pg_get_indexdef(class.oid) from 'USING btree (.*)$'), '"', ''))
  from tables
  join pg_index as index on index.indrelid = tables.oid
  join pg_class as class on class.oid = index.indexrelid
  where not exists (
    select from pg_constraint where conindid = index.indexrelid and contype in ('p', 'u')
  )
)
select regexp_replace(
    line, '::(character varying|numeric|text|jsonb)(\([0-9,]+\))?(\[\])?', '', 'g') as line
from lines
order by line collate "C";
