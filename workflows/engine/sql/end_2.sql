-- End: the one transition that ends attempts and steps, and all that follows from it, for steps of one run. The run's
-- row is locked first, so that everything behind it is sequential.
-- p_items: [{n, token, state, reason, output, ref, error, delay, usage, was}].
-- Who may end a step: the worker that holds it (p_worker); the sweeper, if its lease has lapsed (p_worker null); the
-- panel itself (p_worker null and `was`: the state that it saw under the run's lock): a clock, a decision, a child run.
-- `after`: what is to be done when this has been committed: {limit, parent, orphans}, null for nothing.
create function wf_end_2(p_run bigint, p_items jsonb, p_worker text, p_queues text[], p_take integer, p_lease interval, p_floor integer,
  out accepted integer[], out taken jsonb, out ring text[], out final text, out events jsonb, out after jsonb) language plpgsql as $$
declare
  r record; t timestamptz; closed integer; bads integer; room integer; got record; bad_key text;
  e_n integer[]; e_c text[]; e_f integer[]; cut integer[];
  ev jsonb; tk integer[] := '{}'; why text; spent numeric; orphans boolean;
begin
  accepted := '{}'; taken := '[]'; ring := '{}'; events := '[]';
  select * into strict r from workflow_runs where id = p_run for no key update;   -- 1 the lock; from here every statement sees all that is committed
  t := clock_timestamp();   -- not now(): that was before the wait
  room := case when r.state in ('queued', 'running') then p_take else 0 end;
  with x as (
    select n, token, case when r.state = 'cancelling' and state in ('ready', 'retrying') then 'cancelled' else state end as state,
      reason, output, ref, error, delay, usage, was
    from jsonb_to_recordset(p_items) x(n integer, token integer, state text, reason text, output jsonb, ref text, error jsonb, delay float8, usage jsonb, was text)),
  d as (   -- 2 the fence
    update workflow_step_executions s set state = x.state, reason = x.reason, output = x.output, output_ref = x.ref, error = x.error,
      worker = null, lease_until = null,
      ready_at = case when x.state = 'ready' then t end,
      wake_at = case when x.state = 'retrying' then t + x.delay * interval '1 second' end,
      finished_at = case when wf_class_1(x.state, x.reason) is not null then t end,
      limit_id = case when x.state = 'ready' then wf_parked_1(s.limit_id, r.state = 'paused') else s.limit_id end,
      losses = s.losses + coalesce(x.reason = 'worker_lost', false)::integer
    from x
    where s.run_id = p_run and s.n = x.n and s.attempt = x.token and s.state = coalesce(x.was, 'running')
      and case when p_worker is not null then s.worker = p_worker when x.was is null then s.lease_until < t else true end
    returning s.id, s.n, s.key, s.index, s.attempt, s.state, s.reason, s.succ, s.sink, s.queue, s.limit_id, s.first_item, s.kind,
      x.error, x.usage, x.delay, x.was, wf_class_1(s.state, s.reason) as class),
  a as (
    update workflow_attempts a set ended_at = t, outcome = d.state, reason = d.reason, error = d.error, usage = d.usage
    from d where a.run_id = p_run and a.n = d.n and a.number = d.attempt and a.ended_at is null),
  k as (delete from workflow_slots using d where d.limit_id <> 0 and workflow_slots.step_id = d.id),
  e as (select v as n, class, d.n as f from d, unnest(succ) v where class is not null)
  select array_agg(n) as n, count(class) as closed, count(*) filter (where class = 'bad' and sink) as bads,
    max(key) filter (where class = 'bad' and state <> 'cancelled' and key <> 'on_failure') as bad_key,
    array_agg(distinct queue) filter (where state = 'ready') as q,
    array_agg(n) filter (where class is not null and first_item is not null) as cut,
    bool_or(was = 'waiting' and kind = 'workflow' and class = 'bad') as orphans,
    jsonb_agg(jsonb_build_object('kind', 'step.' || state, 'n', n, 'step', key, 'index', index, 'attempt', nullif(attempt, 0), 'data',
      jsonb_strip_nulls(jsonb_build_object('reason', reason, 'error', error, 'delay', delay))) order by n) as ev,
    sum((usage ->> 'cost')::numeric) as cost,
    (select array_agg(n) from e) as e_n, (select array_agg(class) from e) as e_c, (select array_agg(f) from e) as e_f
  into got from d;
  if got.n is null then return; end if;   -- somebody was first
  accepted := got.n; ev := got.ev; closed := got.closed; bads := got.bads; bad_key := got.bad_key; spent := got.cost; orphans := got.orphans;
  ring := coalesce(got.q, '{}'); e_n := got.e_n; e_c := got.e_c; e_f := got.e_f; cut := got.cut;
  while e_n is not null or cut is not null loop
    if cut is not null then   -- 3 items of a map that ended before they did: those that run are taken away from their workers
      with u as (
        update workflow_step_executions s set state = 'cancelled', reason = 'map_ended', worker = null, lease_until = null,
          ready_at = null, wake_at = null, finished_at = t
        from workflow_step_executions p
        where p.run_id = p_run and p.n = any (cut) and s.run_id = p_run and s.n >= p.first_item and s.n < p.first_item + p.need
          and s.state in ('pending', 'ready', 'running', 'waiting', 'retrying')
        returning s.id, s.n, s.key, s.index, s.attempt, s.limit_id, s.kind),
      a as (
        update workflow_attempts a set ended_at = t, outcome = 'cancelled', reason = 'map_ended'
        from u where a.run_id = p_run and a.n = u.n and a.number = u.attempt and a.ended_at is null),
      k as (delete from workflow_slots using u where u.limit_id <> 0 and workflow_slots.step_id = u.id)
      select count(*) as closed, bool_or(kind = 'workflow') as orphans,
        jsonb_agg(jsonb_build_object('kind', 'step.cancelled', 'n', n, 'step', key, 'index', index, 'attempt', nullif(attempt, 0),
          'data', jsonb_build_object('reason', 'map_ended')) order by n) as ev
      into got from u;
      ev := ev || coalesce(got.ev, '[]'); closed := closed + got.closed; orphans := orphans or got.orphans; cut := null;
    end if;
    exit when e_n is null;
    -- 4 a wave of releases; another while it ended steps itself
    with d as (
      select s.id, count(*) filter (where c = 'ok')::integer as ok, count(*) filter (where c = 'bad')::integer as bad, count(*) filter (where c = 'skip')::integer as skip
      from unnest(e_n, e_c, e_f) x(n, c, f) join workflow_step_executions s on s.run_id = p_run and s.n = x.n
      where s.state = 'pending' or s.state = 'waiting' and x.f >= s.first_item group by s.id),   -- a map counts its items, not a late parent
    v as (
      select s.id, s.n, s.priority, s.short, d.ok, d.bad, d.skip, s.released,
        wf_verdict_2(s.join_rule, s.need, s.ok + d.ok, s.bad + d.bad, s.skip + d.skip, s.allowed, s.fail_fast) as v,
        s.limit_id = 0 and s.queue = any (p_queues) and s.priority >= p_floor as mine
      from d join workflow_step_executions s on s.id = d.id),
    o as (
      select v.*, row_number() over m as place, first_value(short) over m as first_short
      from v window m as (partition by v = 'ready' and mine order by priority desc, n)),
    w as (select *, v = 'ready' and mine and place <= room and (place = 1 and tk = '{}' or first_short and short) as take from o),
    u as (
      update workflow_step_executions s set ok = s.ok + w.ok, bad = s.bad + w.bad, skip = s.skip + w.skip,
        state = case when take then 'running' when v = 'wait' then s.state when v in ('upstream_failed', 'not_needed') then 'skipped' else v end,
        reason = case when v in ('upstream_failed', 'not_needed') then v when v = 'wait' then s.reason end,
        ready_at = case when v = 'ready' and not take then t end,
        limit_id = case when v = 'ready' then wf_parked_1(s.limit_id, r.state = 'paused') else s.limit_id end,
        deadline_at = case when v = 'ready' and s.total_timeout is not null then t + s.total_timeout * interval '1 second' else s.deadline_at end,
        attempt = s.attempt + take::integer, worker = case when take then p_worker end, lease_until = case when take then t + p_lease end,
        started_at = case when take then t else s.started_at end,
        finished_at = case when v in ('upstream_failed', 'not_needed', 'failed', 'succeeded') then t end,
        released = least(s.need, s.released + w.ok + w.bad + w.skip),
        error = case when s.join_rule = 'map' and v = 'failed' then jsonb_build_object('class', 'items_failed',
          'message', (s.bad + w.bad) || ' of ' || s.need || ' items did not succeed') end,
        output_ref = case when s.join_rule = 'map' and v <> 'wait' then 'items' end
      from w where s.id = w.id
      returning s.id, s.n, s.key, s.index, s.state, s.reason, s.attempt, s.succ, s.sink, s.queue, s.short, s.first_item, s.error,
        w.released as old, s.released as new, w.v, w.take, wf_class_1(s.state, s.reason) as class,
        v = 'failed' and s.ok + s.bad + s.skip < s.need as early),
    a as (insert into workflow_attempts (run_id, n, number, worker, started_at) select p_run, n, attempt, p_worker, t from u where take),
    e as (
      select z as n, class, u.n as f from u, unnest(succ) z where class is not null
      union all
      select first_item + g, 'ok', u.n from u, generate_series(old, new - 1) g where v = 'wait' and old < new)   -- a map's next items
    select count(class) as closed, count(*) filter (where class = 'bad' and sink) as bads,
      max(key) filter (where state in ('failed', 'crashed', 'timed_out')) as bad_key,
      array_agg(distinct queue) filter (where state = 'ready') as q, array_agg(n) filter (where take) as tk,
      array_agg(n) filter (where early) as cut,
      bool_or(take and not short) as long,
      jsonb_agg(jsonb_build_object('kind', 'step.' || state, 'n', n, 'step', key, 'index', index, 'attempt', nullif(attempt, 0), 'data',
        jsonb_strip_nulls(jsonb_build_object('reason', reason, 'error', error))) order by n) filter (where v <> 'wait') as ev,
      (select array_agg(n) from e) as e_n, (select array_agg(class) from e) as e_c, (select array_agg(f) from e) as e_f
    into got from u;
    ev := ev || coalesce(got.ev, '[]'); closed := closed + got.closed; bads := bads + got.bads;
    bad_key := coalesce(got.bad_key, bad_key); ring := ring || coalesce(got.q, '{}'); tk := tk || coalesce(got.tk, '{}');
    room := case when got.long then 0 else room - coalesce(cardinality(got.tk), 0) end;
    e_n := got.e_n; e_c := got.e_c; e_f := got.e_f; cut := got.cut;
  end loop;
  bad_key := coalesce(bad_key, nullif(r.bad_step, ''));
  if r.open = closed then   -- 5 the end of the run
    final := case when r.state = 'cancelling' then 'cancelled' when r.bad_ends + bads > 0 then 'failed' else 'succeeded' end;
    why := case final when 'failed' then 'step ' || coalesce(bad_key, '?') || ' did not succeed' else '' end;
    ev := ev || jsonb_build_array(jsonb_build_object('kind', 'run.' || final, 'data', jsonb_strip_nulls(jsonb_build_object('reason', nullif(why, '')))));
    if r.limit_id is not null then delete from workflow_run_slots where run_id = p_run; end if;
  end if;
  insert into workflow_events (run_id, number, at, kind, n, step, index, attempt, data)   -- 6 events, numbered under the lock
    select p_run, r.events + o, t, x ->> 'kind', (x ->> 'n')::integer, x ->> 'step', (x ->> 'index')::integer, (x ->> 'attempt')::integer, nullif(x -> 'data', '{}')
    from jsonb_array_elements(ev) with ordinality j(x, o);
  update workflow_runs w set events = r.events + jsonb_array_length(ev), open = r.open - closed, bad_ends = r.bad_ends + bads,
    bad_step = coalesce(bad_key, ''), cost = w.cost + coalesce(spent, 0), state = coalesce(final, r.state),
    reason = coalesce(why, w.reason), finished_at = case when final is not null then t end,
    output = case when final is not null then (select s.output from workflow_step_executions s where s.run_id = p_run and s.n = r.output_n) end,
    output_ref = case when final is not null then
      (select s.output_ref from workflow_step_executions s where s.run_id = p_run and s.n = r.output_n) end
  where id = p_run;
  select jsonb_agg(x - 'n' || jsonb_build_object('number', r.events + o, 'at', t)) into events from jsonb_array_elements(ev) with ordinality j(x, o);
  if orphans or final is not null and (r.limit_id is not null or r.parent_step_id is not null) then
    after := jsonb_strip_nulls(jsonb_build_object('orphans', nullif(orphans, false),
      'limit', case when final is not null then r.limit_id end, 'parent', case when final is not null then r.parent_step_id end));
  end if;
  if tk <> '{}' then   -- 7 what the steps taken need
    select jsonb_agg(jsonb_build_object('id', s.id, 'run', p_run, 'n', s.n, 'key', s.key, 'index', s.index, 'attempt', s.attempt,
      'item', s.item, 'short', s.short, 'inputs', case when s.reads = '{}' then '{}' else wf_inputs_1(p_run, s.reads) end)) into taken
    from workflow_step_executions s where s.run_id = p_run and s.n = any (tk);
  end if;
end $$;

-- Complete: the ends of steps of any runs, runs in ascending order, and the next claim: always one commit.
create function wf_complete_2(p_items jsonb, p_worker text, p_queues text[], p_take integer, p_lease interval,
  out results jsonb, out taken jsonb, out claimed jsonb, out hot bigint) language plpgsql as $$
declare
  the_run bigint; e record; c record; room integer := p_take; urgent integer;
begin
  results := '[]'; taken := '[]'; claimed := '{}';
  if room > 0 then   -- a step of the own run is taken at once only if nothing more urgent waits
    select coalesce(max(z.priority), 0) into urgent from unnest(p_queues) q cross join lateral (
      select priority from workflow_step_executions where state = 'ready' and queue = q and limit_id = 0 order by priority desc, ready_at limit 1) z;
  end if;
  for the_run in select distinct (x ->> 'run')::bigint from jsonb_array_elements(p_items) x order by 1 loop
    select * into e from wf_end_2(the_run, (select jsonb_agg(x) from jsonb_array_elements(p_items) x where (x ->> 'run')::bigint = the_run),
      p_worker, p_queues, room, p_lease, urgent);
    results := results || jsonb_build_object('run', the_run, 'accepted', to_jsonb(e.accepted), 'ring', to_jsonb(e.ring), 'final', e.final, 'events', e.events, 'after', e.after);
    taken := taken || e.taken;
    room := case when jsonb_array_length(e.taken) > 0 then 0 else room end;
  end loop;
  if room > 0 then
    select * into c from wf_claim_1(p_queues, p_worker, room, p_lease, null);
    taken := c.taken; claimed := c.events; hot := c.hot;
  end if;
end $$;
