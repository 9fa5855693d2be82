"""Workflows: graphs of definitions, their runs, and the engine that carries them out."""
