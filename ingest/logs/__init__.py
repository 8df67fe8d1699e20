"""Server logs: the programs that import and follow them, positions on disk, unreadable lines, and formats."""
