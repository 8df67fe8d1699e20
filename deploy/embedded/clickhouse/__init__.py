"""The real ClickHouse engine behind a server that speaks ClickHouse's HTTP interface on loopback."""
