"""Comparing variants: what is paired with what, judged by which statistics, and what may not be compared."""
