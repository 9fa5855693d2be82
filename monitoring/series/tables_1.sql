-- Samples are written by COPY and read by series and time; a month is dropped as a whole when it is old. No foreign key:
-- each insert would lock the row of the series.
create table monitoring_samples (
  series_id bigint not null, at timestamptz not null, value float8 not null, extra jsonb) partition by range (at);
create index on monitoring_samples (series_id, at);
-- Roll-ups by width in seconds. Minutes are as many as samples may be, so they go by month too; hours and days stay.
create table monitoring_rollups (
  width integer not null, series_id bigint not null, at timestamptz not null, count bigint not null,
  total float8 not null, low float8 not null, high float8 not null, p50 float8 not null, p95 float8 not null, p99 float8 not null,
  classes bytea not null, primary key (width, series_id, at)) partition by list (width);
create table monitoring_rollups_60 partition of monitoring_rollups for values in (60) partition by range (at);
create table monitoring_rollups_3600 partition of monitoring_rollups for values in (3600);
create table monitoring_rollups_86400 partition of monitoring_rollups for values in (86400);

-- Makes the partitions of the months from that of p_from to that of p_to. Returns how many were missing.
create function monitoring_partitions_1(p_from timestamptz, p_to timestamptz) returns integer language plpgsql as $$
declare
  low timestamp := date_trunc('month', p_from at time zone 'UTC');
  made integer := 0;
  base text;
  part text;
begin
  while low <= p_to at time zone 'UTC' loop
    foreach base in array array['monitoring_samples', 'monitoring_rollups_60'] loop
      part := base || to_char(low, '_YYYY_MM');
      if to_regclass(part) is null then
        execute format('create table %I partition of %I for values from (%L) to (%L)',
          part, base, low at time zone 'UTC', (low + interval '1 month') at time zone 'UTC');
        made := made + 1;
      end if;
    end loop;
    low := low + interval '1 month';
  end loop;
  return made;
end $$;
select monitoring_partitions_1(now() - interval '100 days', now() + interval '62 days');
