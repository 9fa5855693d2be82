"""The engine: PostgreSQL is the truth, the broker a doorbell, every transition one fenced compare-and-set."""
