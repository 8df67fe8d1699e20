"""Tests of ClickHouse."""
