"""Endpoints for clients of other systems: one module a protocol, each a set of pure functions (docs/protocols)."""
