-- Cancel: nothing new starts after its commit. Running steps are told by the heartbeat; the end of the last one ends the run.
create function wf_cancel_1(p_run bigint, out was text, out now_state text, out events jsonb) language plpgsql as $$
declare
  r record; t timestamptz; closed integer; bads integer; ev jsonb;
begin
  events := '[]';
  select * into strict r from workflow_runs where id = p_run for no key update;
  was := r.state; now_state := r.state;
  if r.state not in ('queued', 'running', 'paused') then return; end if;
  t := clock_timestamp();
  with u as (
    update workflow_step_executions set state = 'cancelled', reason = 'run_cancelled', ready_at = null, wake_at = null, finished_at = t
    where run_id = p_run and state in ('pending', 'ready', 'waiting', 'retrying') returning n, key, index, sink)
  select count(*), count(*) filter (where sink),
    coalesce(jsonb_agg(jsonb_build_object('kind', 'step.cancelled', 'n', n, 'step', key, 'index', index, 'data', jsonb_build_object('reason', 'run_cancelled')) order by n), '[]')
  into closed, bads, ev from u;
  now_state := case when r.open = closed then 'cancelled' else 'cancelling' end;
  ev := ev || jsonb_build_array(jsonb_build_object('kind', 'run.' || now_state));
  insert into workflow_events (run_id, number, at, kind, n, step, index, data)
    select p_run, r.events + o, t, x ->> 'kind', (x ->> 'n')::integer, x ->> 'step', (x ->> 'index')::integer, x -> 'data'
    from jsonb_array_elements(ev) with ordinality j(x, o);
  update workflow_runs set events = r.events + jsonb_array_length(ev), open = r.open - closed, bad_ends = r.bad_ends + bads, state = now_state,
    finished_at = case when now_state = 'cancelled' then t end where id = p_run;
  select jsonb_agg(x - 'n' || jsonb_build_object('number', r.events + o, 'at', t)) into events from jsonb_array_elements(ev) with ordinality j(x, o);
end $$;

-- Expand: a mapped step becomes as many rows as it has items; the first p_parallel are ready, each end releases the next.
create function wf_expand_1(p_run bigint, p_n integer, p_token integer, p_worker text, p_items jsonb, p_parallel integer,
  out accepted boolean, out ring text, out events jsonb) language plpgsql as $$
declare
  r record; p record; t timestamptz; total integer := jsonb_array_length(p_items); ev jsonb;
begin
  accepted := false; events := '[]';
  select * into strict r from workflow_runs where id = p_run for no key update;
  t := clock_timestamp();
  -- A cancelling run gets no items: the caller ends the step as cancelled instead.
  if r.state = 'cancelling' then return; end if;
  update workflow_step_executions s set state = 'waiting', reason = 'mapped', worker = null, lease_until = null, join_rule = 'map', need = total,
    ok = 0, bad = 0, skip = 0, first_item = r.steps, released = least(total, p_parallel)
  where s.run_id = p_run and s.n = p_n and s.attempt = p_token and s.state = 'running' and s.worker = p_worker returning * into p;
  if p.id is null then return; end if;
  accepted := true; ring := p.queue;
  update workflow_attempts set ended_at = t, outcome = 'waiting', reason = 'mapped' where run_id = p_run and n = p_n and number = p_token;
  insert into workflow_step_executions (run_id, n, key, index, kind, state, queue, short, priority, limit_id, need, ok, succ, reads, sink, on_lost, ready_at, item)
    select p_run, r.steps + o - 1, p.key, o - 1, p.kind, case when o <= p_parallel then 'ready' else 'pending' end, p.queue, p.short, p.priority,
      p.limit_id, 1, (o <= p_parallel)::integer, array[p_n], p.reads, false, p.on_lost, case when o <= p_parallel then t end, x
    from jsonb_array_elements(p_items) with ordinality j(x, o);
  ev := jsonb_build_array(jsonb_build_object('kind', 'step.waiting', 'n', p_n, 'step', p.key, 'attempt', p_token, 'data', jsonb_build_object('reason', 'mapped', 'items', total)))
    || (select jsonb_agg(jsonb_build_object('kind', 'step.ready', 'n', r.steps + i, 'step', p.key, 'index', i) order by i) from generate_series(0, least(total, p_parallel) - 1) i);
  insert into workflow_events (run_id, number, at, kind, n, step, index, attempt, data)
    select p_run, r.events + o, t, x ->> 'kind', (x ->> 'n')::integer, x ->> 'step', (x ->> 'index')::integer, (x ->> 'attempt')::integer, x -> 'data'
    from jsonb_array_elements(ev) with ordinality j(x, o);
  update workflow_runs set events = r.events + jsonb_array_length(ev), steps = r.steps + total, open = r.open + total where id = p_run;
  select jsonb_agg(x - 'n' || jsonb_build_object('number', r.events + o, 'at', t)) into events from jsonb_array_elements(ev) with ordinality j(x, o);
end $$;

-- Sweep: lost leases are taken back, due retries become ready. Runs that others hold are left for the next sweep.
create function wf_sweep_1(p_max_losses integer, out results jsonb, out due float8) language plpgsql as $$
declare
  the_run bigint; e record; r record; t timestamptz; ev jsonb; q text[];
begin
  results := '[]';
  for the_run in select distinct run_id from workflow_step_executions where state = 'running' and lease_until < clock_timestamp() order by 1 limit 200 loop
    perform 1 from workflow_runs where id = the_run for no key update skip locked;
    continue when not found;
    select * into e from wf_end_1(the_run,
      (select jsonb_agg(jsonb_build_object('n', s.n, 'token', s.attempt,
         'state', case when s.on_lost = 'retry' and s.losses + 1 < p_max_losses then 'ready' else 'crashed' end, 'reason', 'worker_lost',
         'error', case when s.on_lost = 'retry' and s.losses + 1 < p_max_losses then null
                  else jsonb_build_object('class', 'worker_lost', 'message', 'the worker that ran this was lost') end))
       from workflow_step_executions s where s.run_id = the_run and s.state = 'running' and s.lease_until < clock_timestamp()),
      null, '{}', 0, interval '0', 0);
    results := results || jsonb_build_object('run', the_run, 'ring', to_jsonb(e.ring), 'final', e.final, 'events', coalesce(e.events, '[]'));
  end loop;
  for the_run in select distinct run_id from workflow_step_executions where state = 'retrying' and wake_at <= clock_timestamp() order by 1 limit 200 loop
    select * into r from workflow_runs where id = the_run for no key update skip locked;
    continue when not found or r.state not in ('running', 'queued', 'paused');
    t := clock_timestamp();
    with u as (
      update workflow_step_executions set state = 'ready', reason = null, ready_at = t, wake_at = null
      where run_id = the_run and state = 'retrying' and wake_at <= t returning n, key, index, queue)
    select jsonb_agg(jsonb_build_object('kind', 'step.ready', 'n', n, 'step', key, 'index', index) order by n), array_agg(distinct queue) into ev, q from u;
    continue when ev is null;
    insert into workflow_events (run_id, number, at, kind, n, step, index)
      select the_run, r.events + o, t, x ->> 'kind', (x ->> 'n')::integer, x ->> 'step', (x ->> 'index')::integer from jsonb_array_elements(ev) with ordinality j(x, o);
    update workflow_runs set events = r.events + jsonb_array_length(ev) where id = the_run;
    results := results || jsonb_build_object('run', the_run, 'ring', to_jsonb(q), 'final', null, 'events',
      (select jsonb_agg(x - 'n' || jsonb_build_object('number', r.events + o, 'at', t)) from jsonb_array_elements(ev) with ordinality j(x, o)));
  end loop;
  select extract(epoch from min(wake_at) - clock_timestamp()) into due from workflow_step_executions where state = 'retrying';
end $$;

-- One event that changes no state (progress, marker), also after the end of an external one.
create function wf_note_1(p_run bigint, p_kind text, p_n integer, p_step text, p_index integer, p_attempt integer, p_data jsonb) returns jsonb language plpgsql as $$
declare
  r record; t timestamptz;
begin
  select * into strict r from workflow_runs where id = p_run for no key update;
  t := clock_timestamp();
  -- A finished run's row never changes, so its later notes have no number to take: they are dropped.
  if r.finished_at is not null then return null; end if;
  insert into workflow_events (run_id, number, at, kind, n, step, index, attempt, data) values (p_run, r.events + 1, t, p_kind, p_n, p_step, p_index, p_attempt, p_data);
  update workflow_runs set events = r.events + 1 where id = p_run;
  return jsonb_build_object('number', r.events + 1, 'at', t, 'kind', p_kind, 'step', p_step, 'index', p_index, 'attempt', p_attempt, 'data', p_data);
end $$;
