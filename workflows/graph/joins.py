"""The verdict on a join: the same pure function of counters as the engine's SQL (a test holds them together)."""

from __future__ import annotations


def verdict(rule: str, need: int, ok: int, bad: int, skip: int) -> str:
    """Return `ready`, `wait`, `upstream_failed` or `not_needed` for a step's join; `map` is the engine's own matter."""
    if bad and rule in ("all_succeeded", "none_failed"):
        return "upstream_failed"
    if (ok and rule == "any_succeeded") or (bad and rule == "any_failed"):
        return "ready"
    if ok + bad + skip < need:
        return "wait"
    if rule == "any_succeeded" and bad:
        return "upstream_failed"
    if rule == "handler":
        return "ready" if bad else "not_needed"
    if rule in ("any_succeeded", "any_failed") or (rule == "all_succeeded" and skip):
        return "not_needed"
    return "ready"
