"""ClickHouse: client, container of packs, migrations, ledger."""
