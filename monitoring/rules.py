"""What a rule makes of a value: pure functions over values, the same for the clock and for a preview."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mcp_site.core.errors import Problem
from monitoring.sketch import AGGREGATES
from monitoring.states import Comparison, NoData, Severity

_HOLDS: dict[str, Callable[[float, float], bool]] = {
    Comparison.BELOW: operator.lt,
    Comparison.AT_MOST: operator.le,
    Comparison.ABOVE: operator.gt,
    Comparison.AT_LEAST: operator.ge,
}
MIN_WINDOW, MAX_WINDOW = 60, 7 * 86400
MAX_HOLD = 86400
MIN_RENOTIFY = 60
_LIMITS = ("threshold", "warn_threshold", "recover_threshold")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a rule says. `window`, `hold` and `renotify` are seconds."""

    aggregate: str
    comparison: str
    threshold: float
    window: int
    warn_threshold: float | None = None
    recover_threshold: float | None = None
    hold: int = 0
    no_data: str = NoData.KEEP
    renotify: int | None = None

    @property
    def recovers_at(self) -> float:
        """Return the value that has to be left behind for all to be well again."""
        if self.recover_threshold is not None:
            return self.recover_threshold
        return self.threshold if self.warn_threshold is None else self.warn_threshold


@dataclass(frozen=True, slots=True)
class Standing:
    """How one series stands under a rule: since when it has been bad, and what is open about it."""

    warn_since: datetime | None = None
    alert_since: datetime | None = None
    open: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows: the new standing, and `opened`, `escalated` or `resolved` if something happens."""

    standing: Standing
    happening: str | None = None


def problems_of(terms: Terms) -> Iterator[Problem]:
    """Yield what is wrong with the terms of a rule."""
    if terms.aggregate not in AGGREGATES:
        yield Problem("aggregate", "invalid_choice", f"one of {', '.join(AGGREGATES)}")
    if terms.no_data not in NoData.values:
        yield Problem("no_data", "invalid_choice", f"one of {', '.join(NoData.values)}")
    endless = [name for name in _LIMITS if not math.isfinite(getattr(terms, name) or 0)]
    if endless:
        yield from (Problem(name, "invalid", "must be a finite number") for name in endless)
        return
    yield from _problems_of_spans(terms)
    if terms.comparison not in _HOLDS:
        yield Problem("comparison", "invalid_choice", f"one of {' '.join(_HOLDS)}")
        return
    warn, worse = terms.warn_threshold, "below" if terms.comparison.startswith("<") else "above"
    if warn is not None and not _is_milder(terms, warn, terms.threshold):
        yield Problem("warn_threshold", "invalid", f"the threshold must be {worse} it: a warning comes first")
    mildest = terms.threshold if warn is None else warn
    if terms.recover_threshold is not None and _is_milder(terms, mildest, terms.recover_threshold):
        yield Problem("recover_threshold", "invalid", "must lie beyond the threshold on the good side")


def _problems_of_spans(terms: Terms) -> Iterator[Problem]:
    if not MIN_WINDOW <= terms.window <= MAX_WINDOW:
        yield Problem("window", "invalid", "from 1m to 7d")
    if not 0 <= terms.hold <= MAX_HOLD:
        yield Problem("for", "invalid", "from 0s to 1d")
    if terms.renotify is not None and not MIN_RENOTIFY <= terms.renotify <= MAX_WINDOW:
        yield Problem("renotify", "invalid", "from 1m to 7d")


def judge(terms: Terms, standing: Standing, value: float | None, now: datetime) -> Verdict:
    """Return what `value` (None: no samples in the window) means for a series that stands so.

    Opens or rises once the value has been bad for `hold` without a break; resolves once it is past `recovers_at`.
    In between nothing changes: that band keeps a value that trembles from opening and resolving all the time.
    """
    if value is None:
        return _silent(terms, standing, now)
    holds = _HOLDS[terms.comparison]
    is_alert = holds(value, terms.threshold)
    is_warn = is_alert or (terms.warn_threshold is not None and holds(value, terms.warn_threshold))
    standing = replace(
        standing,
        warn_since=(standing.warn_since or now) if is_warn else None,
        alert_since=(standing.alert_since or now) if is_alert else None,
    )
    return _judged(terms, standing, now, is_well=not is_warn and not holds(value, terms.recovers_at))


def _silent(terms: Terms, standing: Standing, now: datetime) -> Verdict:
    match terms.no_data:
        case NoData.OK:
            return _judged(terms, Standing(open=standing.open), now, is_well=True)
        case NoData.ALERT:
            bad = Standing(standing.warn_since or now, standing.alert_since or now, standing.open)
            return _judged(terms, bad, now, is_well=False)
        case _:
            return Verdict(standing)


def _judged(terms: Terms, standing: Standing, now: datetime, *, is_well: bool) -> Verdict:
    hold = timedelta(seconds=terms.hold)
    severity = None
    if standing.alert_since is not None and now - standing.alert_since >= hold:
        severity = Severity.ALERT.value
    elif standing.warn_since is not None and terms.warn_threshold is not None and now - standing.warn_since >= hold:
        severity = Severity.WARN.value
    if standing.open is None:
        return Verdict(replace(standing, open=severity), "opened" if severity else None)
    if is_well:
        return Verdict(Standing(), "resolved")
    if severity == Severity.ALERT and standing.open == Severity.WARN:
        return Verdict(replace(standing, open=severity), "escalated")
    return Verdict(standing)


def _is_milder(terms: Terms, value: float, than: float) -> bool:
    """Tell whether `value` is met earlier than `than` on the way to worse."""
    return value > than if terms.comparison.startswith("<") else value < than
