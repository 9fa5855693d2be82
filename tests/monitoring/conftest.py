"""A worker in the test's own thread, as the tests of workflows have it."""

from __future__ import annotations

from tests.workflows.conftest import Bells, _forget_plans, bells, echo, prompt, start, worker

__all__ = ["Bells", "_forget_plans", "bells", "echo", "prompt", "start", "worker"]
