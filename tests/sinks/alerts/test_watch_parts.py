"""The watcher's seams on real parts: SQL on the embedded ClickHouse, offsets from the broker, pages over HTTP."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from confluent_kafka import Producer

from runtime.kafka import KafkaUnavailable
from runtime.kafka_access import KafkaAccess
from schemas.topics import RAW
from sinks.alerts.delivery.pager import Delivery, Outcome, Webhook, route_name
from sinks.alerts.delivery.routes import Webhooks
from sinks.alerts.loop import Watcher
from sinks.alerts.memory import Memory
from sinks.alerts.outside import HttpEdge, KafkaRawTopic
from sinks.alerts.rules import MINUTE, AlertState
from sinks.alerts.season import DAYS
from sinks.alerts.store import Store
from sinks.warehouse.client import HttpWarehouse, WarehouseError
from sinks.warehouse.migrate import read_migrations, split_statements
from tests.embedded.clickhouse.conftest import PASSWORD, Server
from tests.processes import await_that, free_port
from tests.sinks.alerts.findings import NOON, fall, opened
from tests.sinks.alerts.rollups import rollup
from tests.sinks.alerts.watch_fakes import FakeEdge, FakePager, FakeStore, FakeTopic

TABLES = ("rollup_minute", "progress", "alerts", "alert_state")


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpWarehouse]:
    server = Server(tmp_path_factory.mktemp("clickhouse"))
    server.start()
    database = HttpWarehouse(server.url, "fairpixel", PASSWORD)
    database.execute("CREATE DATABASE IF NOT EXISTS fairpixel")
    for migration in read_migrations():  # the watcher's tables only: the loader has tests of its own
        for statement in split_statements(migration.sql):
            if statement.removeprefix("CREATE TABLE ").split(maxsplit=1)[0] in TABLES:
                database.execute(statement)
    yield database
    server.end(15)


class Receiver:
    """An on-call webhook that answers as it is told to."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.answers: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status = receiver.answers.pop(0) if receiver.answers else 200
                if status < 300:
                    receiver.heard.append(body)
                self.send_response(status)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    yield one
    one.server.shutdown()
    one.server.server_close()


def test_counts_are_human_and_without_mail_and_logs(warehouse: HttpWarehouse) -> None:
    rollup(
        warehouse,
        "counted",
        [
            ("page_view", "page", "pixel", NOON, 10),
            ("page_view", "page", "tag", NOON, 5),
            ("page_view", "page", "log", NOON, 1_000),
            ("open", "mail", "email", NOON, 5_000),
            ("it's \\ odd \"é", "custom", "server", NOON + MINUTE, 7),
            ("page_view", "page", "pixel", NOON + 2 * MINUTE, 99),
        ],
    )
    found = [row for row in Store(warehouse).traffic(NOON, NOON + MINUTE) if row[0] == "counted"]
    assert sorted(found) == [
        ("counted", "it's \\ odd \"é", [NOON + MINUTE], [7], [0]),
        ("counted", "page_view", [NOON], [15], [15]),
    ]


def test_earlier_days_are_read_for_a_name_and_for_a_whole_site(warehouse: HttpWarehouse) -> None:
    rollup(
        warehouse,
        "season",
        [
            ("page_view", "page", "pixel", NOON - 86_400, 30),
            ("purchase", "purchase", "server", NOON - 7 * 86_400, 4),
        ],
    )
    store = Store(warehouse)
    days = {day.back: day.counts.sum() for day in store.earlier_days(fall(NOON, subject="", site="season"))}
    assert (days[1], days[7], len(days)) == (30, 4, len(DAYS))
    assert {d.back: d.counts.sum() for d in store.earlier_days(fall(NOON, site="season"))}[1] == 0


def test_memory_and_transitions_are_kept_and_a_repeat_changes_nothing(warehouse: HttpWarehouse) -> None:
    store = Store(warehouse)
    assert store.version() == 0
    assert store.load() is None
    alert_state, told = opened(fall(site="o'neil"))
    memory = Memory(AlertState(NOON), version=3).decided(alert_state, told, ("webhook-1",), set())
    store.save(Memory(AlertState(NOON), version=3))
    for _ in range(2):
        store.save(memory)
        store.store(told)
    assert (store.load(), store.version()) == (memory, 4)
    rows = warehouse.rows(
        "SELECT site, state, title FROM alerts FINAL WHERE alert_id = {id:String}", {"id": told[0].alert_id}
    )
    assert [(row["site"], row["state"]) for row in rows] == [("o'neil", "open")]


def test_progress_is_read_by_topic_and_partition(warehouse: HttpWarehouse) -> None:
    warehouse.execute(
        "INSERT INTO progress (origin_topic_id, origin_partition, origin_offset) "
        "VALUES ('t', 0, 5), ('t', 0, 9), ('t', 1, 2)"
    )
    assert Store(warehouse).loaded() == {("t", 0): 9, ("t", 1): 2}


def test_a_thousand_pairs_are_read_and_judged_quickly(warehouse: HttpWarehouse) -> None:
    """A judged minute of 1,000 pairs stays within the ten seconds a page may take; a busy machine took 2.6 s."""
    warehouse.execute(
        "INSERT INTO rollup_minute (site, name, kind, source, minute, hits, human) "
        "SELECT concat('many', toString(number % 50)), concat('name', toString(intDiv(number, 50) % 20)), "
        "'custom', 'server', "
        f"toDateTime({NOON - 3_600 * 24} - intDiv(number, 1000) * 60, 'UTC'), 100, 100 FROM numbers(240000)"
    )
    kept = FakeStore([])
    last = NOON - 3_600 * 24
    kept.traffic = Store(warehouse).traffic  # type: ignore[method-assign]
    kept.versions = {}
    watcher = Watcher(kept, FakeTopic(kept), FakeEdge(), FakePager([], []), lambda event, **fields: None)
    watcher.step((last + 1) * 1000)
    for after_ms in (62_000, 62_500):
        watcher.step(last * 1000 + after_ms)
    start = time.perf_counter()
    watcher.step(last * 1000 + 63_500)
    assert watcher.standing.judged == last
    assert time.perf_counter() - start < 10


def test_a_warehouse_that_is_away_says_so() -> None:
    with pytest.raises(WarehouseError):
        Store(HttpWarehouse(f"http://127.0.0.1:{free_port()}", "", "")).load()


def test_the_raw_topic_says_its_ends(kafka: str) -> None:
    topic = KafkaRawTopic(KafkaAccess(kafka))
    before_id, before = topic.ends()
    producer = Producer({"bootstrap.servers": kafka})
    producer.produce(RAW, b"x", partition=1)
    producer.flush(10)
    topic_id, ends = topic.ends()
    topic.close()
    assert topic_id == before_id
    assert len(topic_id) == 22
    assert ends[1].high == before[1].high + 1
    assert ends[0] == before[0]


def test_a_broker_that_is_away_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sinks.alerts.outside.ANSWER_SECONDS_MAX", 0.5)
    with pytest.raises(KafkaUnavailable):
        KafkaRawTopic(KafkaAccess(f"127.0.0.1:{free_port()}")).ends()


def test_an_edge_says_how_many_packs_are_in_its_spool() -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"# TYPE fairpixel_ingest_spool_packs gauge\nfairpixel_ingest_spool_packs 3.0\n"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    assert HttpEdge(f"http://127.0.0.1:{server.server_port}").spool_packs() == 3
    server.shutdown()
    server.server_close()
    assert HttpEdge(f"http://127.0.0.1:{free_port()}").spool_packs() is None


def test_a_webhook_is_tried_again_in_order_until_it_takes_the_message(receiver: Receiver) -> None:
    done: Queue[Delivery] = Queue()
    failed: list[tuple[str, str]] = []
    receiver.answers = [503, 429]
    hook = Webhook(receiver.url, done, lambda route, why: failed.append((route, why)))
    for number in range(3):
        assert hook.offer(f"m{number}", {"number": number})
        assert hook.offer(f"m{number}", {"number": number}), "an offer made twice is one message"
    await_that(lambda: done.qsize() == 3, 15, "all three are taken")
    hook.stop(5)
    assert [body["number"] for body in receiver.heard] == [0, 1, 2]
    assert [why for _, why in failed] == ["status 503", "status 429"]
    assert all(receiver.url not in str(one) for one in failed)


def test_a_refused_message_does_not_stop_the_next(receiver: Receiver) -> None:
    done: Queue[Delivery] = Queue()
    receiver.answers = [404]
    hook = Webhook(receiver.url, done, lambda route, why: None)
    hook.offer("bad", {})
    hook.offer("good", {"number": 1})
    await_that(lambda: done.qsize() == 2, 10, "both are done with")
    hook.stop(5)
    assert [done.get().outcome, done.get().outcome] == [Outcome.REFUSED, Outcome.SENT]


def test_routes_follow_the_file_and_a_broken_one_changes_nothing(tmp_path: Path, receiver: Receiver) -> None:
    path = tmp_path / "fairpixel.toml"
    warnings: list[str] = []
    hooks = Webhooks(path, "http://127.0.0.1:1", lambda event, **fields: warnings.append(event))
    hooks.refresh()
    assert hooks.routes() == ()
    path.write_text(f'[alerts]\nwebhook = "{receiver.url}"\n')
    hooks.refresh()
    assert hooks.routes() == (route_name(receiver.url),)
    path.write_text("[alerts]\nwebhook = 7 # and so on\n")
    hooks.refresh()
    hooks.refresh()
    assert hooks.routes() == (route_name(receiver.url),)
    assert warnings == ["config_refused"]
    transition = opened()[1][0]
    hooks.offer(transition, route_name(receiver.url))
    await_that(lambda: receiver.heard, 10, "the page arrives")
    assert receiver.heard[0]["title"].startswith("Purchase on demo fell")
    await_that(lambda: hooks.deliveries(), 5, "the delivery is known")
    hooks.offer(transition, "webhook-gone")
    assert [one.outcome for one in hooks.deliveries()] == [Outcome.GIVEN_UP]
    hooks.stop()
