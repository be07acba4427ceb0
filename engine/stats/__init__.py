"""Pairs, intervals, tests, verdicts and power. No model, no domain, no file and no database in it."""
