"""Tests of the alert watcher."""
