-- Start: the run's row is there, with its counts; this writes its steps and first events in one statement.
create function wf_start_1(p_run bigint, p_steps jsonb) returns jsonb language plpgsql as $$
declare
  t timestamptz := clock_timestamp();
  result jsonb;
begin
  with x as (
    select * from jsonb_to_recordset(p_steps) as x(n integer, key text, kind text, queue text, short boolean, priority smallint,
      limit_id integer, join_rule text, deps integer[], succ integer[], reads integer[], sink boolean, on_lost text)),
  s as (
    insert into workflow_step_executions (run_id, n, key, kind, state, queue, short, priority, limit_id, join_rule, need,
      succ, deps, reads, sink, on_lost, ready_at)
    select p_run, n, key, kind, case when deps = '{}' then 'ready' else 'pending' end, queue, short, priority,
      coalesce(limit_id, 0), join_rule, cardinality(deps), succ, deps, reads, sink, on_lost, case when deps = '{}' then t end
    from x order by n),
  e as (
    insert into workflow_events (run_id, number, at, kind, n, step)
    select p_run, 1, t, 'run.queued', null::integer, null::text
    union all
    select p_run, 1 + row_number() over (order by n), t, 'step.ready', n, key from x where deps = '{}'
    returning number, at, kind, n, step)
  select jsonb_build_object(
    'ring', (select coalesce(jsonb_agg(distinct queue), '[]') from x where deps = '{}'),
    'events', (select jsonb_agg(to_jsonb(e) - 'n' order by number) from e)) into result;
  return result;
end $$;
