"""Whether and when a failed attempt is tried again: a pure function of the policy, the error and the count."""

from __future__ import annotations

import random

from workflows.graph import Retry

# Errors that may pass by themselves. The author's own mistakes (user_error, schema_error) don't.
PASSING = frozenset({"rate_limit", "network", "provider_5xx", "timeout", "oom", "killed", "connection_failed"})


def delay_before_retry(policy: Retry | None, error_class: str, attempt: int, retry_after: float | None) -> float | None:
    """Return the seconds until the next attempt, or None when there is none.

    `attempt` is the number of the one that failed, from 1. A provider's `retry_after` is never undercut. Jitter
    takes a uniform share of between one half and the whole of the delay.
    """
    if policy is None or attempt >= policy.max_attempts:
        return None
    if error_class not in (PASSING if policy.on is None else policy.on):
        return None
    match policy.backoff:
        case "fixed":
            delay = policy.delay
        case "linear":
            delay = policy.delay * attempt
        case "exponential":
            delay = policy.delay * 2.0 ** min(attempt - 1, 30)
    delay = min(delay, policy.max_delay)
    if policy.jitter:
        delay *= random.uniform(0.5, 1.0)  # noqa: S311  spreading retries, not keeping secrets
    return max(delay, retry_after or 0.0)
