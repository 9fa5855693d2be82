-- The verdict on a join: a pure function of how many parents ended how. Confluent: their order doesn't matter.
-- Badness is decided at once, a harmless skip only when all parents ended: else a late failure behind an early
-- skip would be lost.
create function wf_verdict_1(j text, need integer, ok integer, bad integer, skip integer) returns text
language sql immutable parallel safe as $$
  select case
    when bad > 0 and j in ('all_succeeded', 'none_failed')                        then 'upstream_failed'
    when ok > 0 and j = 'any_succeeded' or bad > 0 and j = 'any_failed'           then 'ready'
    when ok + bad + skip < need                                                   then 'wait'
    when j = 'map'                                                                then case when bad > 0 then 'failed' else 'succeeded' end
    when j = 'any_succeeded' and bad > 0                                          then 'upstream_failed'
    when j in ('any_succeeded', 'any_failed') or j = 'all_succeeded' and skip > 0 then 'not_needed'
    else 'ready' end $$;

-- What a step's end counts as for its successors; null while it has not ended.
create function wf_class_1(state text, reason text) returns text language sql immutable parallel safe as $$
  select case when state = 'succeeded' then 'ok'
              when state in ('failed', 'crashed', 'timed_out', 'cancelled') or state = 'skipped' and reason = 'upstream_failed' then 'bad'
              when state = 'skipped' then 'skip' end $$;

-- What a worker needs of the steps that an attempt reads, by position.
create function wf_inputs_1(p_run bigint, p_reads integer[]) returns jsonb language sql stable as $$
  select coalesce(jsonb_object_agg(p.n, jsonb_build_object('state', p.state, 'output', p.output, 'ref', p.output_ref)), '{}')
  from workflow_step_executions p where p.run_id = p_run and p.n = any (p_reads) $$;
