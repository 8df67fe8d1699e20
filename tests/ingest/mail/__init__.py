"""Tests of opens, clicks and webhooks."""
