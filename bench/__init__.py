"""Benchmarks: run by people with `make bench`, never by the tests."""
