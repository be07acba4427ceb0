"""Runs: their folders and records, the queue, the processes that do them, and how they end."""
