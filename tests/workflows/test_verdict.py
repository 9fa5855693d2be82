"""The verdict on a join, as SQL has it, against a plain statement of the rules."""

from __future__ import annotations

import itertools

import pytest
from django.db import connection

pytestmark = pytest.mark.django_db

RULES = ("all_succeeded", "all_done", "any_succeeded", "any_failed", "none_failed", "handler")


def verdict(rule: str, need: int, ok: int, bad: int, skip: int, allowed: int = 0, fast: bool = False) -> str:
    """Say what the rules in docs/workflow_engine_service.md say."""
    done = ok + bad + skip == need
    if rule == "map":
        is_over = bad > allowed
        return ("failed" if is_over else "succeeded") if done or (fast and is_over) else "wait"
    if bad and rule in ("all_succeeded", "none_failed"):
        return "upstream_failed"
    if (ok and rule == "any_succeeded") or (bad and rule == "any_failed"):
        return "ready"
    if not done:
        return "wait"
    if rule == "handler":
        return "ready" if bad else "not_needed"
    if rule == "any_succeeded":
        return "upstream_failed" if bad else "not_needed"
    if rule == "any_failed":
        return "not_needed"
    if rule == "all_succeeded":
        return "not_needed" if skip else "ready"
    return "ready"


def test_sql_and_the_rules_agree_on_every_count() -> None:
    rows = [
        (rule, need, ok, bad, skip, allowed, fast)
        for rule in (*RULES, "map")
        for need in range(1, 5)
        for ok, bad, skip in itertools.product(range(need + 1), repeat=3)
        for allowed, fast in itertools.product((0, 1, 2), (False, True))
        if 0 < ok + bad + skip <= need
    ]
    with connection.cursor() as cursor:
        for row in rows:
            cursor.execute("select wf_verdict_2(%s, %s, %s, %s, %s, %s, %s)", row)
            assert cursor.fetchone()[0] == verdict(*row), row


@pytest.mark.parametrize("rule", RULES)
def test_the_order_in_which_parents_end_changes_nothing(rule: str) -> None:
    final = {"ready", "upstream_failed", "not_needed"}
    for ends in itertools.combinations_with_replacement(("ok", "bad", "skip"), 4):
        outcomes = set()
        for order in set(itertools.permutations(ends)):
            counts = {"ok": 0, "bad": 0, "skip": 0}
            for end in order:
                counts[end] += 1
                said = verdict(rule, 4, counts["ok"], counts["bad"], counts["skip"])
                if said in final:
                    break
            outcomes.add(said)
        assert len(outcomes) == 1, (rule, ends, outcomes)
