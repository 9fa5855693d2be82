"""Rows of definitions."""

from __future__ import annotations

from definitions.models.alias import Alias, AliasMove
from definitions.models.definition import Definition
from definitions.models.version import DefinitionVersion

__all__ = ["Alias", "AliasMove", "Definition", "DefinitionVersion"]
