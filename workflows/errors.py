"""Errors of workflows and runs."""

from __future__ import annotations

from mcp_site.core.errors import Conflict, Forbidden


class RunNotCancellable(Conflict):
    """This run has already ended."""

    code = "run_ended"


class PartUnavailable(Conflict):
    """A part of this workflow is archived or gone."""

    code = "part_unavailable"


class NothingToRun(Conflict):
    """There is no version to run yet; save one first."""

    code = "no_version"


class RunNotGoing(Conflict):
    """This run has ended or is being cancelled, so there is nothing to pause."""

    code = "run_ended"


class NotPaused(Conflict):
    """This run is not paused."""

    code = "not_paused"


class ApprovalClosed(Conflict):
    """This approval is not open any more."""

    code = "approval_closed"


class SelfApproval(Forbidden):
    """Who started the run may not decide its approvals."""

    code = "self_approval"


class LimitReached(Conflict):
    """As many runs of this workflow as may go on at once do already."""

    code = "limit_reached"
