-- Admit: runs that wait under a limit get the slots that are free, the most urgent and oldest first; what is ready of
-- them may be claimed from now on. Runs that others hold are left for the next call. The limit is locked after the run,
-- and counted in a snapshot taken after that.
create function wf_admit_1(p_limit bigint, out results jsonb) language plpgsql as $$
declare
  the_run bigint; r record; room integer; t timestamptz; q text[];
begin
  results := '[]';
  for the_run in
    select k.run_id from workflow_run_slots k join workflow_runs w on w.id = k.run_id
    where k.limit_id = p_limit and k.taken_at is null and w.state = 'queued' order by w.priority desc, w.id limit 100
  loop
    select * into r from workflow_runs where id = the_run for no key update skip locked;
    continue when not found or r.state <> 'queued';
    perform 1 from workflow_run_limits where id = p_limit for no key update;
    select l.size - (select count(*) from workflow_run_slots k where k.limit_id = p_limit and k.taken_at is not null)
    into room from workflow_run_limits l where l.id = p_limit;
    exit when room <= 0;
    t := clock_timestamp();
    update workflow_run_slots set taken_at = t where run_id = the_run and taken_at is null;
    continue when not found;
    with u as (
      update workflow_step_executions set limit_id = wf_parked_1(limit_id, false), ready_at = t, reason = null
      where run_id = the_run and state = 'ready' returning queue)
    select coalesce(array_agg(distinct queue), '{}') into q from u;
    insert into workflow_events (run_id, number, at, kind, data) values (the_run, r.events + 1, t, 'run.queued', '{"reason": "slot_taken"}');
    update workflow_runs set events = r.events + 1, reason = '' where id = the_run;
    results := results || jsonb_build_object('run', the_run, 'ring', to_jsonb(q), 'events', jsonb_build_array(jsonb_build_object(
      'number', r.events + 1, 'at', t, 'kind', 'run.queued', 'data', '{"reason": "slot_taken"}'::jsonb)));
  end loop;
end $$;
