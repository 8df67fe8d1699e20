"""Snowplow's collector."""
