"""The hot path: calls of the engine's SQL functions, and nothing else. Only `transitions` imports this module.

The functions stand in `sql/`, installed by migrations and named with a version, so that old and new workers live
through a deploy together. Each call is one statement and, outside a transaction, one commit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection

Row = Mapping[str, Any]


# The columns of the functions' answers that are JSON; they are asked for as text and read here, in one way.
_JSON = frozenset({"results", "taken", "claimed", "events", "event", "queues", "after"})


def _call(sql: str, params: Sequence[Any]) -> Row:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        row = cursor.fetchone()
        names = [column.name for column in cursor.description]
    return {
        name: json.loads(value) if name in _JSON and value is not None else value
        for name, value in zip(names, row, strict=True)
    }


def start(run: int, steps: Sequence[Row], held: bool) -> Row:
    """Write a new run's steps and first events: {queues, events}. `held`: it has no slot yet."""
    sql = "select r ->> 'ring' as queues, r ->> 'events' as events from wf_start_2(%s, %s::jsonb, %s) r"
    return _call(sql, [run, json.dumps(steps), held])


def claim(queues: list[str], worker: str, count: int, lease: float, first: int | None) -> Row:
    """Take up to `count` ready steps: {taken, events, hot}."""
    return _call(
        "select taken::text, events::text, hot from wf_claim_1(%s::text[], %s, %s, make_interval(secs => %s), %s)",
        [queues, worker, count, lease, first],
    )


def complete(items: str, worker: str, queues: list[str], take: int, lease: float) -> Row:
    """End attempts and take the next steps in one commit: {results, taken, claimed, hot}. `items` is JSON text."""
    return _call(
        "select results::text, taken::text, claimed::text, hot "
        "from wf_complete_2(%s::jsonb, %s, %s::text[], %s, make_interval(secs => %s))",
        [items, worker, queues, take, lease],
    )


def end(run: int, items: str) -> Row:
    """End steps that no worker holds, by the panel itself: {accepted, ring, events, after}. `items` is JSON text."""
    return _call(
        "select accepted, ring, events::text, after::text from wf_end_2(%s, %s::jsonb, null, '{}', 0, interval '0', 0)",
        [run, items],
    )


def lock(run: int) -> None:
    """Wait for the run's row and keep it until the transaction ends. Call before anything else is locked."""
    _call("select id from workflow_runs where id = %s for no key update", [run])


def cancel(run: int) -> Row:
    """Cancel a run: {was, now_state, events, after}."""
    return _call("select was, now_state, events::text, after::text from wf_stop_1(%s, false)", [run])


def admit(limit: int) -> Row:
    """Give the free slots of a limit to runs that wait for them: {results}."""
    return _call("select wf_admit_1(%s)::text as results", [limit])


def pause(run: int, reason: str) -> Row:
    """Pause a run: {changed, events}."""
    return _call("select changed, events::text from wf_pause_1(%s, %s)", [run, reason])


def resume(run: int) -> Row:
    """Resume a run: {changed, ring, events, after}."""
    return _call("select changed, ring, events::text, after::text from wf_resume_1(%s)", [run])


def wait(run: int, n: int, token: int, worker: str, reason: str, wake: float | None, data: str) -> Row:
    """Let a running step wait, for `wake` seconds at most: {accepted, events}. `data` is JSON text of an object."""
    return _call(
        "select accepted, events::text from wf_wait_1(%s, %s, %s, %s, %s, %s::float8, %s::jsonb)",
        [run, n, token, worker, reason, wake, data],
    )


def expand(run: int, n: int, token: int, worker: str, items: str, parallel: int, allowed: int) -> Row:
    """Turn a mapped step into its items: {accepted, ring, events}. `items` is JSON text of a list."""
    return _call(
        "select accepted, ring, events::text from wf_expand_2(%s, %s, %s, %s, %s::jsonb, %s, %s)",
        [run, n, token, worker, items, parallel, allowed],
    )


def sweep(max_losses: int) -> Row:
    """Take back lost leases, end what is out of time, wake what is due: {results, due (seconds to the next clock)}."""
    return _call("select results::text, due from wf_sweep_2(%s)", [max_losses])


def note(
    run: int, kind: str, n: int | None, step: str | None, index: int | None, attempt: int | None, data: str
) -> Row:
    """Add an event that changes no state: {event}; null when the run has ended."""
    return _call(
        "select wf_note_1(%s, %s, %s, %s, %s, %s, %s::jsonb)::text as event", [run, kind, n, step, index, attempt, data]
    )


def partitions(first_run: int, count: int) -> int:
    """Make the partitions for the runs from `first_run` on; returns how many tables were made."""
    return int(_call("select wf_partitions_1(%s, %s) as made", [first_run, count])["made"])


def last_run() -> int:
    """Return the number of the newest run."""
    return int(_call("select coalesce(max(id), 0) as id from workflow_runs", [])["id"])


def waiting_queues(older_than: float) -> list[str]:
    """Return the queues with steps that have been ready for `older_than` seconds and that may be claimed."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select distinct queue from workflow_step_executions "
            "where state = 'ready' and limit_id >= 0 and ready_at < clock_timestamp() - make_interval(secs => %s)",
            [older_than],
        )
        return [row[0] for row in cursor.fetchall()]


def heartbeat(worker: str, lease: float, held: Sequence[tuple[int, int]]) -> dict[int, str]:
    """Renew the leases of `(step id, token)`: by step id `ok`, `cancel` or `lost`.

    Never waits: a row that a completing thread has locked is left for the next beat.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            with h as (select * from unnest(%(ids)s::bigint[], %(tokens)s::integer[]) h(id, token)),
            k as (
              select s.id from h join workflow_step_executions s
                on s.id = h.id and s.attempt = h.token and s.state = 'running' and s.worker = %(worker)s
              for no key update of s skip locked),
            u as (
              update workflow_step_executions s set lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
              from k where s.id = k.id)
            select h.id, case when s.state <> 'running' or s.attempt <> h.token or s.worker <> %(worker)s then 'lost'
                              when r.state = 'cancelling' then 'cancel' else 'ok' end
            from h join workflow_step_executions s on s.id = h.id join workflow_runs r on r.id = s.run_id
            """,
            {"ids": [i for i, _ in held], "tokens": [t for _, t in held], "worker": worker, "lease": lease},
        )
        return dict(cursor.fetchall())
