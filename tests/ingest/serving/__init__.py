"""Tests of connections and bytes."""
