-- Start: the run's row is there, with its counts; this writes its steps and first events in one statement. Steps that
-- are given an end have it from another run; ok and skip count such parents. p_held: the run waits for its slot.
create function wf_start_2(p_run bigint, p_steps jsonb, p_held boolean) returns jsonb language plpgsql as $$
declare
  t timestamptz := clock_timestamp();
  result jsonb;
begin
  if p_held then update workflow_runs set reason = 'awaiting_slot' where id = p_run; end if;
  with x as (
    select n, key, kind, queue, short, priority, join_rule, deps, succ, reads, sink, on_lost, queue_timeout, total_timeout,
      coalesce(fail_fast, false) as fail_fast, coalesce(ok, 0) as ok, coalesce(skip, 0) as skip, state, reason, ref, source
    from jsonb_to_recordset(p_steps) as j(n integer, key text, kind text, queue text, short boolean, priority smallint,
      join_rule text, deps integer[], succ integer[], reads integer[], sink boolean, on_lost text, queue_timeout float8,
      total_timeout float8, fail_fast boolean, ok integer, skip integer, state text, reason text, ref text, source bigint)),
  s as (
    insert into workflow_step_executions (run_id, n, key, kind, state, reason, queue, short, priority, limit_id, join_rule, need,
      ok, skip, succ, deps, reads, sink, on_lost, ready_at, finished_at, queue_timeout, total_timeout, deadline_at,
      fail_fast, output_ref, source_id)
    select p_run, n, key, kind, state, case when state = 'ready' and p_held then 'awaiting_slot' else reason end, queue, short, priority,
      case when state = 'ready' and p_held then wf_parked_1(0, true) else 0 end, join_rule, cardinality(deps),
      ok, skip, succ, deps, reads, sink, on_lost, case when state = 'ready' then t end, case when state in ('succeeded', 'skipped') then t end,
      queue_timeout, total_timeout,
      case when state = 'ready' and total_timeout is not null then t + total_timeout * interval '1 second' end, fail_fast, ref, source
    from x order by n),
  v as (
    select 1 as number, 'run.queued' as kind, null::integer as n, null::text as step,
      case when p_held then jsonb_build_object('reason', 'awaiting_slot') end as data
    union all
    select 1 + row_number() over (order by n), 'step.' || state, n, key, jsonb_build_object('reason', reason)
    from x where state <> 'pending'),
  e as (
    insert into workflow_events (run_id, number, at, kind, n, step, data)
    select p_run, number, t, kind, n, step, case when data is distinct from '{"reason": null}' then data end from v
    returning number, at, kind, n, step, data)
  select jsonb_build_object(
    'ring', (select coalesce(jsonb_agg(distinct queue), '[]') from x where state = 'ready' and not p_held),
    'events', (select jsonb_agg(to_jsonb(e) - 'n' order by number) from e)) into result;
  return result;
end $$;
