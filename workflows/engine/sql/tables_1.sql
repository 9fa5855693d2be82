-- Events, attempts and logs are partitioned by range of run: the key stays (run, number), reads prune to one
-- partition, and retention drops a partition when all its runs are old. No foreign key from them: each insert
-- would lock the run's row again.
create table workflow_attempts (
  run_id bigint not null, n integer not null, number integer not null,
  worker varchar(120) not null, started_at timestamptz not null, ended_at timestamptz,
  outcome varchar(16), reason varchar(64), error jsonb, usage jsonb,
  primary key (run_id, n, number)) partition by range (run_id);
create table workflow_events (
  run_id bigint not null, number integer not null, at timestamptz not null, kind varchar(32) not null,
  n integer, step varchar(63), index integer, attempt integer, data jsonb,
  primary key (run_id, number)) partition by range (run_id);
create table workflow_logs (
  run_id bigint not null, n integer not null, attempt integer not null, number integer not null,
  at timestamptz not null default clock_timestamp(), step varchar(63) not null, index integer,
  stream varchar(8) not null, text text not null,
  primary key (run_id, n, attempt, number)) partition by range (run_id);

-- Makes the partitions that hold the runs from p_from on, p_count of them, each for 100,000 runs.
create function wf_partitions_1(p_from bigint, p_count integer) returns integer language plpgsql as $$
declare
  size constant bigint := 100000;
  low bigint := (p_from / size) * size;
  made integer := 0;
  base text;
begin
  for i in 0 .. p_count - 1 loop
    foreach base in array array['workflow_attempts', 'workflow_events', 'workflow_logs'] loop
      if to_regclass(base || '_' || (low / size)) is null then
        execute format('create table %I partition of %I for values from (%s) to (%s)', base || '_' || (low / size), base, low, low + size);
        made := made + 1;
      end if;
    end loop;
    low := low + size;
  end loop;
  return made;
end $$;
select wf_partitions_1(0, 2);

insert into workflow_limits (id, key, size) values (0, '', null);
alter table workflow_runs set (fillfactor = 50);
alter table workflow_step_executions set (fillfactor = 70);

-- Terminal is terminal, whoever asks. The condition stands in the trigger, so that nothing is called otherwise.
create function wf_hold_the_line() returns trigger language plpgsql as $$
begin
  raise exception 'a finished row of % never changes', tg_table_name using errcode = 'integrity_constraint_violation';
end $$;
create trigger run_is_terminal before update on workflow_runs for each row
  when (old.state in ('succeeded', 'failed', 'cancelled', 'timed_out')) execute function wf_hold_the_line();
create trigger step_is_terminal before update on workflow_step_executions for each row
  when (old.state in ('succeeded', 'failed', 'crashed', 'timed_out', 'cancelled', 'skipped')) execute function wf_hold_the_line();
create trigger workflow_versions_stay before update or delete on workflow_versions
  for each row execute function mcp_refuse_change();
create trigger workflow_events_stay before update on workflow_events
  for each row execute function mcp_refuse_change();
