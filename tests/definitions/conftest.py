"""Definitions to look at, and a client of the API per person."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.models import User
from definitions import services
from definitions.models import Definition


def prompt_config(text: str = "Say hello to ${{ inputs.name }}.") -> dict[str, Any]:
    """Return the config of a prompt that is sent nowhere."""
    return {"provider": "dry-run", "messages": [{"role": "user", "content": text}]}


@pytest.fixture
def greeting(ben: User) -> Definition:
    """Ben's prompt, in one version."""
    return services.create_definition(
        by=ben, slug="greeting", name="Greeting", kind="llm", tags=["words"], config=prompt_config(), note="first"
    )
