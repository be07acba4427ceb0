"""Tests of engine/strategies."""
