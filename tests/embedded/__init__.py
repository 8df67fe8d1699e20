"""Tests of deploy/embedded."""
