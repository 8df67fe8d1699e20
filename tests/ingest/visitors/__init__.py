"""Tests of cookies and links between domains."""
