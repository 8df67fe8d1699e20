"""ClickHouse: client, migrations, ledger."""
