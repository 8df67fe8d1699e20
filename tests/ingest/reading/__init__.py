"""Tests of requests become rows."""
