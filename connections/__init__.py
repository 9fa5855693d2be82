"""Connections: outside databases and providers, their sealed credentials and scanned schemas."""
