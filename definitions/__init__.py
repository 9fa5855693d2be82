"""Definitions: prompts, notebooks, scripts and queries in immutable versions."""
