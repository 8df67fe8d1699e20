"""Tests of the tag."""
