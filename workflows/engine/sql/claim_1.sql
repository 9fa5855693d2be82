-- Claim: up to p_n ready steps of these queues, best first; one if the best is not short, else only short ones.
-- p_first: a run to wait for, taken before anything else is held; nothing else here waits for a run.
create function wf_claim_1(p_queues text[], p_worker text, p_n integer, p_lease interval, p_first bigint,
  out taken jsonb, out events jsonb, out hot bigint) language plpgsql as $$
declare
  c_id bigint[];
  c_lim integer[];
  t timestamptz;
begin
  if p_first is not null then
    perform 1 from workflow_runs where id = p_first for no key update;
  end if;
  select array_agg(id order by priority desc, ready_at), array_agg(distinct limit_id) filter (where limit_id <> 0) into c_id, c_lim
  from (
    select z.*, first_value(z.short) over w as first_short, row_number() over w as place
    from unnest(p_queues) q cross join workflow_limits l cross join lateral (
      select s.id, s.limit_id, s.priority, s.ready_at, s.short
      from workflow_step_executions s join workflow_runs r on r.id = s.run_id
      where s.state = 'ready' and s.queue = q and s.limit_id = l.id and r.state in ('queued', 'running') and r.executor = 'celery'
      order by s.priority desc, s.ready_at
      limit case when l.size is null then p_n
                 else least(p_n, greatest(0, l.size - (select count(*) from workflow_slots k where k.limit_id = l.id))) end
      for no key update of s, r skip locked) z
    window w as (order by z.priority desc, z.ready_at)
    order by z.priority desc, z.ready_at limit p_n) y
  where place = 1 or first_short and short;
  if c_lim is not null then   -- limits come last in the lock order, ascending, once; counted in a snapshot taken after
    perform 1 from workflow_limits where id = any (c_lim) order by id for no key update;
    select array_agg(id) into c_id from (
      select s.id, l.size, l.id as lid, row_number() over (partition by s.limit_id order by c.o) as rn
      from unnest(c_id) with ordinality c(id, o) join workflow_step_executions s on s.id = c.id join workflow_limits l on l.id = s.limit_id) q
    where size is null or rn <= size - (select count(*) from workflow_slots k where k.limit_id = q.lid);
  end if;
  t := clock_timestamp();   -- after the locks, so that times grow with numbers
  if c_id is not null then
    with u as (
      update workflow_step_executions s set state = 'running', reason = null, attempt = s.attempt + 1, worker = p_worker,
        lease_until = t + p_lease, ready_at = null, started_at = coalesce(s.started_at, t)
      where s.id = any (c_id) and s.state = 'ready'
      returning s.id, s.run_id, s.n, s.key, s.index, s.attempt, s.reads, s.limit_id, s.item, s.queue, s.short),
    a as (insert into workflow_attempts (run_id, n, number, worker, started_at) select run_id, n, attempt, p_worker, t from u),
    k as (insert into workflow_slots (limit_id, step_id, attempt) select limit_id, id, attempt from u where limit_id <> 0),
    old as (
      select r.id, r.events as base, r.state = 'queued' as first from workflow_runs r where r.id in (select run_id from u)),
    b as (
      update workflow_runs r set events = r.events + x.k + old.first::integer, state = 'running', started_at = coalesce(r.started_at, t)
      from (select run_id, count(*)::integer as k from u group by 1) x join old on old.id = x.run_id where r.id = x.run_id),
    v as (
      select old.id as run_id, old.base + 1 as number, 'run.running' as kind, null::integer as n, null::text as step, null::integer as index, null::integer as attempt
      from old where old.first
      union all
      select u.run_id, old.base + old.first::integer + row_number() over (partition by u.run_id order by u.n), 'step.running', u.n, u.key, u.index, u.attempt
      from u join old on old.id = u.run_id),
    e as (insert into workflow_events (run_id, number, at, kind, n, step, index, attempt)
          select run_id, number, t, kind, n, step, index, attempt from v)
    select
      (select jsonb_agg(jsonb_build_object('id', u.id, 'run', u.run_id, 'n', u.n, 'key', u.key, 'index', u.index, 'attempt', u.attempt,
         'item', u.item, 'short', u.short, 'inputs', case when u.reads = '{}' then '{}' else wf_inputs_1(u.run_id, u.reads) end)) from u),
      (select jsonb_object_agg(run_id, list) from (select run_id, jsonb_agg(jsonb_build_object('number', number, 'at', t, 'kind', kind,
         'step', step, 'index', index, 'attempt', attempt) order by number) as list from v group by run_id) g)
    into taken, events;
  end if;
  if taken is null then   -- nothing: because there is nothing, or because others hold every run that has something?
    select s.run_id into hot from unnest(p_queues) q cross join workflow_limits l cross join lateral (
      select s.run_id, s.priority, s.ready_at from workflow_step_executions s join workflow_runs r on r.id = s.run_id
      where s.state = 'ready' and s.queue = q and s.limit_id = l.id and r.state in ('queued', 'running') and r.executor = 'celery'
        and (l.size is null or l.size > (select count(*) from workflow_slots k where k.limit_id = l.id))
      order by s.priority desc, s.ready_at limit 1) s
    order by s.priority desc, s.ready_at limit 1;
  end if;
  taken := coalesce(taken, '[]');
  events := coalesce(events, '{}');
end $$;
