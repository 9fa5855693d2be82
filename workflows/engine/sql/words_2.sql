-- The verdict on a join, as before, with two more rules. `map`: more bad items than allowed fail it, at once where it
-- is to fail fast. `handler`: when all have ended, and one of them badly.
create function wf_verdict_2(j text, need integer, ok integer, bad integer, skip integer, allowed integer, fast boolean) returns text
language sql immutable parallel safe as $$
  select case
    when bad > 0 and j in ('all_succeeded', 'none_failed')                        then 'upstream_failed'
    when ok > 0 and j = 'any_succeeded' or bad > 0 and j = 'any_failed'           then 'ready'
    when j = 'map' and fast and bad > allowed                                     then 'failed'
    when ok + bad + skip < need                                                   then 'wait'
    when j = 'map'                                                                then case when bad > allowed then 'failed' else 'succeeded' end
    when j = 'any_succeeded' and bad > 0                                          then 'upstream_failed'
    when j = 'handler'                                                            then case when bad > 0 then 'ready' else 'not_needed' end
    when j in ('any_succeeded', 'any_failed') or j = 'all_succeeded' and skip > 0 then 'not_needed'
    else 'ready' end $$;

-- The same limit, hidden from claims, and back: ready steps of a paused run, and of one that waits for its slot, lie
-- under a negative limit, so that no claim walks over them.
create function wf_parked_1(p_limit integer, p_hide boolean) returns integer language sql immutable parallel safe as $$
  select case when p_hide = (p_limit < 0) then p_limit else -p_limit - 1 end $$;
