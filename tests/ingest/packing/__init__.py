"""Tests of rows become packs that are kept."""
