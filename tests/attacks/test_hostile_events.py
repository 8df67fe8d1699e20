"""Generated hostile events: the pipeline keeps or counts each in bounded time, and ordinary neighbours arrive."""

from __future__ import annotations

import json
import os
import socket
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from random import Random
from urllib.parse import urlsplit

import pytest

from ingest.endpoints.routes import ROUTES
from ingest.protocols.protocol import Ask
from ingest.reading.body import UNREADABLE_ITEM, inflate
from ingest.reading.client import read_client
from ingest.reading.cloudevents import split_body
from ingest.reading.fields import Unacceptable
from ingest.reading.parse import Parsed, parse_event
from ingest.reading.pixel import QUERY_LENGTH_MAX, parse_pixel, parse_query
from ingest.reading.row import Row
from ingest.reading.sites import Credential, Sites
from runtime.config import parse_config
from schemas.clean_pack import decode_clean_pack
from schemas.event import Event
from schemas.pack import PackLimits
from tests.attacks.hostile_events import HostileRequest, hostile_requests
from tests.attacks.pattern_texts import PUMPS, hostile_text, patterns
from tests.ingest.builders import PUBLIC, SECRET
from tests.platform import Platform, await_that
from tests.speed.hostile import send
from tests.streams.make import NOW, decided, sealed

EVENTS = 2_000
# CPU time of a pack: 500 ordinary events take 0.02 s; one pack of the quadratic pattern took minutes.
PACK_SECONDS_MAX = 5.0
SITES = Sites.of(parse_config("[sites.demo]\n"), {})
ROUTE_OF = {f"/{one.protocol}{one.path}": one for one in reversed(ROUTES)}


def rows_of(request: HostileRequest, credential: Credential) -> list[Row]:
    """The rows the edge makes of a request, without an edge."""
    parts = urlsplit("http://edge" + request.path)
    query = parts.query.encode()
    headers = {name.lower().encode(): value.encode("latin-1") for name, value in request.headers.items()}
    client = read_client(headers, "203.0.113.9")
    try:
        if parts.path == "/p.gif":
            row = parse_pixel(parse_query(query[:QUERY_LENGTH_MAX]), credential, client, NOW, "made")
            return [row] if isinstance(row, tuple) and len(row) == len(Event.__slots__) else []
        body = inflate(request.body, request.headers.get("Content-Encoding", ""))
        if route := ROUTE_OF.get(parts.path):
            ask = Ask(request.method, route.path, query, headers, body, client, NOW, SITES, lambda: "made")
            return [row for _, row in route.read(ask).rows]
        events = [one for one in split_body(headers, body).events if one is not UNREADABLE_ITEM]
        parsed = [parse_event(one, credential, client, NOW, 0, "made") for one in events]
        return [one.row for one in parsed if isinstance(one, Parsed)]
    except Unacceptable:
        return []


def packs_of(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Packs as full as an edge makes them."""
    limits = PackLimits()
    pack: list[Row] = []
    size = 0
    for row in rows:
        row_size = sum(len(one.encode()) for one in row if isinstance(one, str))
        if pack and (len(pack) >= limits.event_count_max or size + row_size > limits.size_bytes_max):
            yield pack
            pack, size = [], 0
        pack.append(row)
        size += row_size
    yield pack


def decide_within(rows: list[Row], seconds_max: float) -> tuple[int, Counter[str]]:
    """(rows kept, drops by reason) of one pack; it is no dead letter, and takes no longer."""
    value = sealed([Event(*row) for row in rows])
    start = time.thread_time()
    pack = decode_clean_pack(decided(value, site='default_consent = "granted"').value)
    took = time.thread_time() - start
    assert not pack.head.answers[0].dead, (
        f"a pack of {len(rows)} events the edge took is a dead letter: {pack.head.answers[0].dead}"
    )
    assert pack.count + len(pack.drops) == len(rows), "an event is neither kept nor counted"
    assert took < seconds_max, f"{len(rows)} events took {took:.1f} s"
    return pack.count, Counter(str(drop.reason) for drop in pack.drops)


@pytest.mark.parametrize("seed", [1, 2])
def test_every_hostile_event_the_edge_takes_is_kept_or_counted_in_bounded_time(seed: int) -> None:
    def rows() -> Iterator[Row]:
        for number, request in enumerate(hostile_requests(seed, "demo")):
            yield from rows_of(request, SECRET if number % 2 else PUBLIC)

    total = kept = 0
    reasons: Counter[str] = Counter()
    for pack in packs_of(islice(rows(), EVENTS // 2)):
        count, dropped = decide_within(pack, PACK_SECONDS_MAX)
        total, kept, reasons = total + len(pack), kept + count, reasons + dropped
    assert total >= EVENTS // 2
    assert kept > total / 4, f"the generator reaches little: {kept} of {total} kept, {reasons}"


def test_a_pack_full_of_the_worst_text_of_each_pattern_is_decided_in_bounded_time() -> None:
    rng = Random(3)
    texts = [(heart * 8_000)[:31_000] for heart in PUMPS]
    rows = [
        row
        for heart in texts
        for item in (
            {"event": "a", "consent": "all", "properties": {"a": heart}},
            {"event": "a", "consent": "none", "properties": {heart[:30_000]: 1}},
            {"event": heart[:200], "consent": "all", "url": f"https://x.example/{heart[:3_900]}"},
            {
                "event": "a",
                "id": heart[:200],
                "consent": "all",
                "url": f"https://x.example/?page={heart[:3_900]}",
            },
            {"event": "a", "consent": "all", "context": {"user_agent": heart[:4_000], "ip": heart[:200]}},
            {
                "event": "a",
                "consent": "all",
                "context": {"user_agent": hostile_text(rng, 4_000), "language": heart[:200]},
            },
        )
        if isinstance(parsed := parse_event(item, SECRET, read_client({}, ""), NOW, 0, "made"), Parsed)
        for row in [parsed.row]
    ]
    assert len(rows) > 5 * len(texts)
    for pack in packs_of(rows):
        decide_within(pack, PACK_SECONDS_MAX)


def test_the_generator_knows_every_pattern_of_the_steps_and_repeats_itself_from_its_seed() -> None:
    assert len(patterns()) > 50
    first, second = ([one.as_bytes() for one in islice(hostile_requests(7, "demo"), 40)] for _ in range(2))
    assert first == second


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    one = Platform(tmp_path_factory.mktemp("hostile"), env={"FAIRPIXEL_INGEST_NETWORK_RATE_MAX": "1000000"})
    one.up()
    yield one
    one.down()


def test_hostile_events_cost_no_ordinary_neighbour_its_row_and_the_ledger_is_exact(
    platform: Platform,
) -> None:
    port = int(platform.env["FAIRPIXEL_EDGE_PORT"])
    running = {name: one["pid"] for name, one in platform.programs().items()}
    ordinary: list[str] = []
    statuses: Counter[str] = Counter()
    hostile = hostile_requests(11, "demo")
    for _ in range(15):  # turns of twenty hostile requests and two ordinary ones
        told = send(port, list(islice(hostile, 20)), rate=1_000)
        statuses.update(told["statuses"])
        assert told["unanswered"] == 0, "a request has no answer"
        for _ in range(2):
            ordinary.append(f"ordinary-{os.urandom(8).hex()}")
            platform.get(f"{platform.edge}/p.gif?k=demo&e=ordinary&consent=all&id={ordinary[-1]}")
    assert statuses["2"] > 150, statuses
    assert statuses["5"] == 0, statuses
    platform.settle()
    rows = platform.query(
        "SELECT event_id, count() n FROM fairpixel.events WHERE name = 'ordinary' GROUP BY event_id"
    )
    assert {row["event_id"]: row["n"] for row in rows} == dict.fromkeys(ordinary, 1)
    ledger = platform.run("ledger", "--json", check=False)
    assert json.loads(ledger.stdout)["equal"], ledger.stdout[-2_000:]
    assert list(platform.dead_letters()) == []
    assert {name: one["pid"] for name, one in platform.programs().items()} == running, (
        "a program was restarted"
    )
    await_that(platform.healthy, "all programs are well", 30)


def test_a_connection_that_sends_hostile_bytes_one_by_one_is_answered(platform: Platform) -> None:
    request = next(
        one for one in hostile_requests(13, "demo") if one.kind == "same names" and len(one.body) < 10_000
    )
    with socket.create_connection(("127.0.0.1", int(platform.env["FAIRPIXEL_EDGE_PORT"])), timeout=20) as one:
        for byte in request.as_bytes():
            one.send(bytes([byte]))
        assert one.recv(12) == b"HTTP/1.1 200"
