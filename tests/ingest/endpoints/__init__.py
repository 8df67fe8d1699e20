"""Tests of what people call."""
