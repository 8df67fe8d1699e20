"""Tests of one partition's processor."""
