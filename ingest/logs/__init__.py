"""Server logs: import, following, positions and formats."""
