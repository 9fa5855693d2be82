-- Which steps of a run the panel must end or free by itself, as items for wf_end: leases that lapsed, clocks that ran
-- out. Call under the run's lock. p_what: lease | total | queue.
create function wf_overdue_1(p_run bigint, p_what text, p_max_losses integer) returns jsonb language sql as $$
  select jsonb_agg(case
    when p_what = 'lease' and s.on_lost = 'retry' and s.losses + 1 < p_max_losses then
      jsonb_build_object('n', s.n, 'token', s.attempt, 'state', 'ready', 'reason', 'worker_lost')
    when p_what = 'lease' then
      jsonb_build_object('n', s.n, 'token', s.attempt, 'state', 'crashed', 'reason', 'worker_lost',
        'error', jsonb_build_object('class', 'worker_lost', 'message', 'the worker that ran this was lost'))
    when p_what = 'total' then
      jsonb_build_object('n', s.n, 'token', s.attempt, 'was', s.state, 'state', 'timed_out', 'reason', 'step_timed_out',
        'error', jsonb_build_object('class', 'timeout', 'message', 'the step took longer than ' || s.total_timeout || ' s in all'))
    else
      jsonb_build_object('n', s.n, 'token', s.attempt, 'was', s.state, 'state', 'timed_out', 'reason', 'late',
        'error', jsonb_build_object('class', 'timeout', 'message', 'no worker took the step within ' || s.queue_timeout || ' s'))
    end)
  from workflow_step_executions s
  where s.run_id = p_run and case p_what
    when 'lease' then s.state = 'running' and s.lease_until < clock_timestamp()
    when 'total' then s.state in ('ready', 'running', 'waiting', 'retrying') and s.deadline_at < clock_timestamp()
    else s.state = 'ready' and s.ready_at + s.queue_timeout * interval '1 second' < clock_timestamp() end $$;

-- Sweep: what nobody else would do. Runs whose clock ran out end; lost leases are taken back; steps whose clock ran out
-- end; due retries become ready. Runs that others hold are left for the next sweep. `due`: seconds to the next clock.
create function wf_sweep_2(p_max_losses integer, out results jsonb, out due float8) language plpgsql as $$
declare
  the_run bigint; what text; e record; r record; t timestamptz; ev jsonb; q text[]; items jsonb;
begin
  results := '[]';
  for the_run in select id from workflow_runs where finished_at is null and deadline_at < clock_timestamp() order by 1 limit 200 loop
    perform 1 from workflow_runs where id = the_run for no key update skip locked;
    continue when not found;
    select * into e from wf_stop_1(the_run, true);
    results := results || jsonb_build_object('run', the_run, 'ring', '[]'::jsonb, 'events', coalesce(e.events, '[]'), 'after', e.after);
  end loop;
  for the_run, what in
    select distinct run_id, 'lease' from workflow_step_executions where state = 'running' and lease_until < clock_timestamp()
    union all
    select distinct run_id, 'total' from workflow_step_executions
    where state in ('ready', 'running', 'waiting', 'retrying') and deadline_at is not null and deadline_at < clock_timestamp()
    union all
    select distinct s.run_id, 'queue' from workflow_step_executions s join workflow_runs w on w.id = s.run_id
    where s.state = 'ready' and s.queue_timeout is not null and s.ready_at + s.queue_timeout * interval '1 second' < clock_timestamp()
      and w.state in ('queued', 'running')   -- a paused run's steps are not late
    order by 1 limit 600
  loop
    perform 1 from workflow_runs where id = the_run for no key update skip locked;
    continue when not found;
    items := wf_overdue_1(the_run, what, p_max_losses);
    continue when items is null;
    select * into e from wf_end_2(the_run, items, null, '{}', 0, interval '0', 0);
    results := results || jsonb_build_object('run', the_run, 'ring', to_jsonb(e.ring), 'events', coalesce(e.events, '[]'), 'after', e.after);
  end loop;
  for the_run in select distinct run_id from workflow_step_executions where state = 'retrying' and wake_at <= clock_timestamp() order by 1 limit 200 loop
    select * into r from workflow_runs where id = the_run for no key update skip locked;
    continue when not found or r.state not in ('running', 'queued', 'paused');
    t := clock_timestamp();
    with u as (
      update workflow_step_executions set state = 'ready', reason = null, ready_at = t, wake_at = null,
        limit_id = wf_parked_1(limit_id, r.state = 'paused')
      where run_id = the_run and state = 'retrying' and wake_at <= t returning n, key, index, queue)
    select jsonb_agg(jsonb_build_object('kind', 'step.ready', 'n', n, 'step', key, 'index', index) order by n), array_agg(distinct queue) into ev, q from u;
    continue when ev is null;
    insert into workflow_events (run_id, number, at, kind, n, step, index)
      select the_run, r.events + o, t, x ->> 'kind', (x ->> 'n')::integer, x ->> 'step', (x ->> 'index')::integer from jsonb_array_elements(ev) with ordinality j(x, o);
    update workflow_runs set events = r.events + jsonb_array_length(ev) where id = the_run;
    results := results || jsonb_build_object('run', the_run, 'ring', to_jsonb(q), 'after', null, 'events',
      (select jsonb_agg(x - 'n' || jsonb_build_object('number', r.events + o, 'at', t)) from jsonb_array_elements(ev) with ordinality j(x, o)));
  end loop;
  select extract(epoch from least(
    (select min(wake_at) from workflow_step_executions where state in ('retrying', 'waiting')),
    (select min(deadline_at) from workflow_step_executions where state in ('ready', 'running', 'waiting', 'retrying') and deadline_at is not null),
    (select min(s.ready_at + s.queue_timeout * interval '1 second') from workflow_step_executions s
       where s.state = 'ready' and s.queue_timeout is not null and s.limit_id >= 0),
    (select min(deadline_at) from workflow_runs where finished_at is null and deadline_at is not null)) - clock_timestamp()) into due;
end $$;
