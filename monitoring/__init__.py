"""Monitoring: looks at everything from above."""
