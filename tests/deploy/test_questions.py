"""`fairpixel sql`, `trace` and `ledger` on the real engine, and on a real broker where the ledger asks one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.cli import main
from schemas.clean_pack import CLEAN_PACK
from schemas.drops import DropReason
from sinks.warehouse.client import HttpWarehouse
from sinks.warehouse.container import splice
from tests.sinks.packs import IDENTITY, Chain, sighting_pack
from tests.sinks.server import PASSWORD, ClickHouse

COLUMNS = {"name": ["purchase", "page_view"], "event_id": ["order-1", "visit-1"]}


@pytest.fixture(autouse=True)
def warehouse_of_rows(
    warehouse: HttpWarehouse,
    clickhouse: ClickHouse,
    kafka: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> HttpWarehouse:
    """Two rows, a later copy of one of them, a drop and two refusals; commands that ask there."""
    chain = Chain()
    packs = [chain.pack(2, [DropReason.NO_CONSENT], refused=2, columns=COLUMNS), sighting_pack(chain)]
    warehouse.insert("runs", splice(CLEAN_PACK, packs), token="t")
    monkeypatch.setenv("FAIRPIXEL_DATA", str(tmp_path))
    monkeypatch.setenv("FAIRPIXEL_CLICKHOUSE_PORT", str(clickhouse.port))
    monkeypatch.setenv("FAIRPIXEL_IDENTITY_SECRET", IDENTITY.hex())
    monkeypatch.setenv("FAIRPIXEL_KAFKA_BOOTSTRAP", kafka)
    return warehouse


def call(capfd: pytest.CaptureFixture[str], *words: str, status: int = 0) -> tuple[str, str]:
    """(standard output, standard error) of a command that ends with `status`."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    told = capfd.readouterr()
    assert (ended.value.code or 0) == status, told.err
    return told.out, told.err


def test_sql_gives_tables_to_programs_and_any_format_to_who_asks(capfd: pytest.CaptureFixture[str]) -> None:
    sql = "SELECT name, event_id FROM events ORDER BY name"
    assert call(capfd, "sql", sql)[0] == "name\tevent_id\npage_view\tvisit-1\npurchase\torder-1\n"
    lines = call(capfd, "sql", sql, "--format", "JSONEachRow")[0].splitlines()
    assert [json.loads(line)["event_id"] for line in lines] == ["visit-1", "order-1"]


def test_sql_reads_a_query_from_standard_input(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    query = tmp_path / "query.sql"
    query.write_text("SELECT 6 * 7 AS answer")
    with query.open() as file:
        monkeypatch.setattr("sys.stdin", file)
        assert call(capfd, "sql", "-")[0] == "answer\n42\n"


def test_sql_says_in_the_servers_words_why_a_query_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    _, told = call(capfd, "sql", "SELECT nothing_of_that_name FROM events", status=1)
    assert told.startswith("fairpixel: ClickHouse refuses the query: Code: 47")
    assert "nothing_of_that_name" in told


def test_sql_writes_when_told_to_and_with_the_password_alone(
    warehouse_of_rows: HttpWarehouse,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    change = "CREATE TABLE fairpixel.mine (n UInt8) ENGINE = MergeTree ORDER BY n"
    assert "writing needs --write" in call(capfd, "sql", change, status=1)[1]
    assert "FAIRPIXEL_CLICKHOUSE_PASSWORD" in call(capfd, "sql", change, "--write", status=1)[1]
    (tmp_path / "secrets.toml").write_text(f'clickhouse_password = "{PASSWORD}"\n')
    call(capfd, "sql", change, "--write")
    monkeypatch.setenv("FAIRPIXEL_CLICKHOUSE_PASSWORD", PASSWORD)
    call(capfd, "sql", "INSERT INTO mine VALUES (7)", "--write")
    assert warehouse_of_rows.rows("SELECT n FROM mine") == [{"n": 7}]


def test_trace_follows_a_stored_event_through_every_stage(capfd: pytest.CaptureFixture[str]) -> None:
    told = call(capfd, "trace", "order-1")[0]
    stages = [line.split()[0] for line in told.splitlines()]
    assert stages == ["edge", "streams", "loader", "copies"]
    assert "raw partition 0, offset 0" in told
    assert "stored as purchase of demo" in told
    assert "from server (secret)" in told


def test_trace_names_the_reason_of_a_drop_and_needs_the_secret_for_it(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "dropped: no_consent" in call(capfd, "trace", "dropped-0-0-0")[0]
    assert "Nothing is known" in call(capfd, "trace", "dropped-0-0-0", "--site", "other", status=1)[0]
    monkeypatch.delenv("FAIRPIXEL_IDENTITY_SECRET")
    told = call(capfd, "trace", "dropped-0-0-0", status=1)[0]
    assert "Drops could not be looked up" in told


def test_trace_tells_programs_the_same(capfd: pytest.CaptureFixture[str]) -> None:
    found = json.loads(call(capfd, "trace", "order-1", "--json")[0])
    assert (found["known"], [row["name"] for row in found["stored"]]) == (True, ["purchase"])
    unknown = json.loads(call(capfd, "trace", "never-seen", "--json", status=1)[0])
    assert (unknown["known"], unknown["stored"]) == (False, [])
    assert [row["origin_offset"] for row in unknown["progress"]] == [1]


def test_trace_of_an_unknown_event_says_how_far_loading_is(capfd: pytest.CaptureFixture[str]) -> None:
    told = call(capfd, "trace", "never-seen", status=1)[0]
    assert "Nothing is known of this id (yet)" in told
    assert "raw partition 0 is loaded to offset 1" in told


def ledger(capfd: pytest.CaptureFixture[str], *words: str, status: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(call(capfd, "ledger", "--json", *words, status=status)[0])
    return found


def test_the_ledger_accounts_for_every_event(capfd: pytest.CaptureFixture[str]) -> None:
    report = ledger(capfd)
    (row,) = report["totals"]
    assert report["equal"]
    assert (row["site"], row["accepted"], row["kept"], row["difference"]) == ("demo", 3, 2, 0)
    assert (row["dropped"], row["refused_by"]) == ({"no_consent": 1}, {"unreadable": 2})
    words = " ".join(call(capfd, "ledger")[0].split())
    assert "demo 3 2 no_consent 1 0 0 unreadable 2" in words
    assert "accepted = kept + dropped + dead rollups = rows" in words


def test_the_ledger_is_of_one_site_and_of_a_time(capfd: pytest.CaptureFixture[str]) -> None:
    assert ledger(capfd, "--site", "other")["totals"] == []
    assert ledger(capfd, "--since", "1h")["totals"] == []
    assert len(ledger(capfd, "--since", "2025-01-01")["totals"]) == 1
    assert "Nothing was accepted in that time." in call(capfd, "ledger", "--since", "1h")[0]
    assert '--since "soon" is no time' in call(capfd, "ledger", "--since", "soon", status=1)[1]


def test_the_ledger_ends_with_1_and_names_what_is_missing(
    warehouse_of_rows: HttpWarehouse, capfd: pytest.CaptureFixture[str]
) -> None:
    warehouse_of_rows.execute("ALTER TABLE events DELETE WHERE name = 'purchase' SETTINGS mutations_sync = 2")
    words = call(capfd, "ledger", status=1)[0]
    assert "difference 1" in words
    assert "accepted 3, kept 1, dropped 1, dead 0" in words
    assert "the rollup says +1 hits" in words
    assert "accepted = kept + dropped + dead" not in words


def test_the_ledger_says_what_it_did_not_compare_while_kafka_is_away(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIRPIXEL_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setattr("sinks.loader.kafka.inbox.ASK_S_MAX", 0.5)
    assert "was not compared, as Kafka does not answer" in call(capfd, "ledger")[1]


def test_without_tables_each_question_says_so(
    warehouse_of_rows: HttpWarehouse, capfd: pytest.CaptureFixture[str]
) -> None:
    warehouse_of_rows.execute("DROP DATABASE fairpixel SYNC", database="default")
    for words in (["ledger"], ["trace", "order-1"]):
        assert "ClickHouse has no tables yet" in call(capfd, *words, status=1)[1]
