"""Tests of documents and pages."""
