"""What people look at: the loader into ClickHouse, and the watcher that alerts."""
