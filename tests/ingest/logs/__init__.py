"""Tests of import and following of server logs."""
