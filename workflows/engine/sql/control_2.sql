-- Stop: a run's end from outside. Cancel: nothing new starts after its commit; running steps are told by the heartbeat,
-- and the end of the last one ends the run. Time-out (the run's own clock): it ends now, and running steps are taken
-- away from their workers, who find that out with the next heartbeat.
create function wf_stop_1(p_run bigint, p_timeout boolean, out was text, out now_state text, out events jsonb, out after jsonb) language plpgsql as $$
declare
  r record; t timestamptz; closed integer; bads integer; ev jsonb; orphans boolean; ended boolean;
  why text := case when p_timeout then 'run_timed_out' else 'run_cancelled' end;
begin
  events := '[]';
  select * into strict r from workflow_runs where id = p_run for no key update;
  was := r.state; now_state := r.state;
  t := clock_timestamp();
  if r.state not in ('queued', 'running', 'paused') or p_timeout and (r.deadline_at is null or r.deadline_at > t) then return; end if;
  with u as (
    update workflow_step_executions set state = 'cancelled', reason = why, ready_at = null, wake_at = null, worker = null, lease_until = null, finished_at = t
    where run_id = p_run and (state in ('pending', 'ready', 'waiting', 'retrying') or p_timeout and state = 'running')
    returning id, n, key, index, sink, attempt, limit_id, kind),
  a as (
    update workflow_attempts a set ended_at = t, outcome = 'cancelled', reason = why
    from u where a.run_id = p_run and a.n = u.n and a.number = u.attempt and a.ended_at is null),
  k as (delete from workflow_slots using u where u.limit_id <> 0 and workflow_slots.step_id = u.id)
  select count(*), count(*) filter (where sink), bool_or(kind = 'workflow'),
    coalesce(jsonb_agg(jsonb_build_object('kind', 'step.cancelled', 'n', n, 'step', key, 'index', index, 'data', jsonb_build_object('reason', why)) order by n), '[]')
  into closed, bads, orphans, ev from u;
  ended := r.open = closed;
  now_state := case when p_timeout then 'timed_out' when ended then 'cancelled' else 'cancelling' end;
  ev := ev || jsonb_build_array(jsonb_build_object('kind', 'run.' || now_state, 'data', case when p_timeout then jsonb_build_object('reason', 'it took longer than its timeout') end));
  if ended and r.limit_id is not null then delete from workflow_run_slots where run_id = p_run; end if;
  insert into workflow_events (run_id, number, at, kind, n, step, index, data)
    select p_run, r.events + o, t, x ->> 'kind', (x ->> 'n')::integer, x ->> 'step', (x ->> 'index')::integer, nullif(x -> 'data', 'null')
    from jsonb_array_elements(ev) with ordinality j(x, o);
  update workflow_runs set events = r.events + jsonb_array_length(ev), open = r.open - closed, bad_ends = r.bad_ends + bads, state = now_state,
    reason = case when p_timeout then 'it took longer than its timeout' when r.state = 'paused' or r.limit_id is not null then '' else reason end,
    finished_at = case when ended then t end where id = p_run;
  select jsonb_agg(x - 'n' || jsonb_build_object('number', r.events + o, 'at', t)) into events from jsonb_array_elements(ev) with ordinality j(x, o);
  after := jsonb_strip_nulls(jsonb_build_object('orphans', nullif(orphans, false), 'limit', case when ended then r.limit_id end,
    'parent', case when ended then r.parent_step_id end));
end $$;

-- Pause: nothing is claimed until it is resumed; what runs ends as it would. Ready steps are hidden from claims.
create function wf_pause_1(p_run bigint, p_reason text, out changed boolean, out events jsonb) language plpgsql as $$
declare
  r record; t timestamptz;
begin
  changed := false; events := '[]';
  select * into strict r from workflow_runs where id = p_run for no key update;
  if r.state not in ('queued', 'running') then return; end if;
  t := clock_timestamp();
  update workflow_step_executions set limit_id = wf_parked_1(limit_id, true) where run_id = p_run and state = 'ready';
  insert into workflow_events (run_id, number, at, kind, data) values (p_run, r.events + 1, t, 'run.paused', jsonb_build_object('reason', p_reason));
  update workflow_runs set state = 'paused', reason = p_reason, events = r.events + 1 where id = p_run;
  changed := true;
  events := jsonb_build_array(jsonb_build_object('number', r.events + 1, 'at', t, 'kind', 'run.paused', 'data', jsonb_build_object('reason', p_reason)));
end $$;

-- Resume: what is ready may be claimed again, and its queue clocks begin anew; a run without its slot goes on waiting.
create function wf_resume_1(p_run bigint, out changed boolean, out ring text[], out events jsonb, out after jsonb) language plpgsql as $$
declare
  r record; t timestamptz; to_state text; held boolean;
begin
  changed := false; ring := '{}'; events := '[]';
  select * into strict r from workflow_runs where id = p_run for no key update;
  if r.state <> 'paused' then return; end if;
  t := clock_timestamp();
  held := r.limit_id is not null and exists (select from workflow_run_slots where run_id = p_run and taken_at is null);
  if not held then
    with u as (
      update workflow_step_executions set limit_id = wf_parked_1(limit_id, false), ready_at = t where run_id = p_run and state = 'ready' returning queue)
    select coalesce(array_agg(distinct queue), '{}') into ring from u;
  end if;
  to_state := case when r.started_at is null then 'queued' else 'running' end;
  insert into workflow_events (run_id, number, at, kind, data) values (p_run, r.events + 1, t, 'run.' || to_state, '{"reason": "resumed"}');
  update workflow_runs set state = to_state, reason = case when held then 'awaiting_slot' else '' end, events = r.events + 1 where id = p_run;
  changed := true;
  after := case when held then jsonb_build_object('limit', r.limit_id) end;
  events := jsonb_build_array(jsonb_build_object('number', r.events + 1, 'at', t, 'kind', 'run.' || to_state, 'data', '{"reason": "resumed"}'::jsonb));
end $$;

-- Wait: a running step becomes one that waits for people or for a child run, and holds no worker. p_wake: its clock.
create function wf_wait_1(p_run bigint, p_n integer, p_token integer, p_worker text, p_reason text, p_wake float8, p_data jsonb,
  out accepted boolean, out events jsonb) language plpgsql as $$
declare
  r record; p record; t timestamptz; data jsonb := coalesce(p_data, '{}') || jsonb_build_object('reason', p_reason);
begin
  accepted := false; events := '[]';
  select * into strict r from workflow_runs where id = p_run for no key update;
  t := clock_timestamp();
  if r.state = 'cancelling' then return; end if;
  update workflow_step_executions s set state = 'waiting', reason = p_reason, worker = null, lease_until = null,
    wake_at = t + p_wake * interval '1 second'
  where s.run_id = p_run and s.n = p_n and s.attempt = p_token and s.state = 'running' and s.worker = p_worker returning * into p;
  if p.id is null then return; end if;
  accepted := true;
  update workflow_attempts set ended_at = t, outcome = 'waiting', reason = p_reason where run_id = p_run and n = p_n and number = p_token;
  insert into workflow_events (run_id, number, at, kind, n, step, index, attempt, data)
    values (p_run, r.events + 1, t, 'step.waiting', p_n, p.key, p.index, p_token, data);
  update workflow_runs set events = r.events + 1 where id = p_run;
  events := jsonb_build_array(jsonb_build_object('number', r.events + 1, 'at', t, 'kind', 'step.waiting', 'step', p.key, 'index', p.index, 'attempt', p_token, 'data', data));
end $$;

-- Expand: a mapped step becomes as many rows as it has items; the first p_parallel are ready, each end releases the next.
-- p_allowed: so many may end badly, and the step still succeeds.
create function wf_expand_2(p_run bigint, p_n integer, p_token integer, p_worker text, p_items jsonb, p_parallel integer, p_allowed integer,
  out accepted boolean, out ring text, out events jsonb) language plpgsql as $$
declare
  r record; p record; t timestamptz; total integer := jsonb_array_length(p_items); ev jsonb; lane integer;
begin
  accepted := false; events := '[]';
  select * into strict r from workflow_runs where id = p_run for no key update;
  t := clock_timestamp();
  -- A cancelling run gets no items: the caller ends the step as cancelled instead.
  if r.state = 'cancelling' then return; end if;
  update workflow_step_executions s set state = 'waiting', reason = 'mapped', worker = null, lease_until = null, join_rule = 'map', need = total,
    ok = 0, bad = 0, skip = 0, first_item = r.steps, released = least(total, p_parallel), allowed = p_allowed
  where s.run_id = p_run and s.n = p_n and s.attempt = p_token and s.state = 'running' and s.worker = p_worker returning * into p;
  if p.id is null then return; end if;
  accepted := true; ring := p.queue;
  lane := wf_parked_1(p.limit_id, r.state = 'paused');
  update workflow_attempts set ended_at = t, outcome = 'waiting', reason = 'mapped' where run_id = p_run and n = p_n and number = p_token;
  insert into workflow_step_executions (run_id, n, key, index, kind, state, queue, short, priority, limit_id, need, ok, succ, reads, sink, on_lost,
      ready_at, item, queue_timeout, fail_fast)
    select p_run, r.steps + o - 1, p.key, o - 1, p.kind, case when o <= p_parallel then 'ready' else 'pending' end, p.queue, p.short, p.priority,
      case when o <= p_parallel then lane else p.limit_id end, 1, (o <= p_parallel)::integer, array[p_n], p.reads, false, p.on_lost,
      case when o <= p_parallel then t end, x, p.queue_timeout, p.fail_fast
    from jsonb_array_elements(p_items) with ordinality j(x, o);
  ev := jsonb_build_array(jsonb_build_object('kind', 'step.waiting', 'n', p_n, 'step', p.key, 'attempt', p_token, 'data', jsonb_build_object('reason', 'mapped', 'items', total)))
    || (select jsonb_agg(jsonb_build_object('kind', 'step.ready', 'n', r.steps + i, 'step', p.key, 'index', i) order by i) from generate_series(0, least(total, p_parallel) - 1) i);
  insert into workflow_events (run_id, number, at, kind, n, step, index, attempt, data)
    select p_run, r.events + o, t, x ->> 'kind', (x ->> 'n')::integer, x ->> 'step', (x ->> 'index')::integer, (x ->> 'attempt')::integer, x -> 'data'
    from jsonb_array_elements(ev) with ordinality j(x, o);
  update workflow_runs set events = r.events + jsonb_array_length(ev), steps = r.steps + total, open = r.open + total where id = p_run;
  select jsonb_agg(x - 'n' || jsonb_build_object('number', r.events + o, 'at', t)) into events from jsonb_array_elements(ev) with ordinality j(x, o);
end $$;
