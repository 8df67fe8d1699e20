"""Every accepted clean pack reaches ClickHouse once."""
