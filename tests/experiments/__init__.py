"""Tests of engine/experiments."""
