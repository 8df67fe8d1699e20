"""What analysts' clients send to the embedded ClickHouse, and the clients themselves."""
