"""Tests of the producers' own topic."""
