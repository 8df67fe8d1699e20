"""What is sent while a folder is recorded, and again when a later version goes on with it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from confluent_kafka import Producer

from schemas.direct import encode_direct_event
from schemas.topics import DIRECT, PARTITIONS_DEFAULT
from tests.journeys.follower import Follower
from tests.platform import Platform, await_that

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
SITES = """\
[sites.demo]

[sites.steady]

# Nobody listens there: what the watcher has to say stays with it.
[alerts]
webhook = "http://127.0.0.1:9/alerts"
"""
STEADY_KEY = "sk_steady_recorded"
# Enough for the watcher to know what is normal, and more than that in one minute.
HISTORY_MINUTES, HITS_A_MINUTE, SPIKE_HITS = 66, 2, 60


def write_sites(platform: Platform) -> None:
    """Two sites, and a webhook where nobody listens."""
    (platform.data / "fairpixel.toml").write_text(SITES)
    with (platform.data / "secrets.toml").open("a") as secrets:
        secrets.write(f'\n[sites.steady]\nsecret_key = "{STEADY_KEY}"\n')
    hello = {"event": "hello", "id": "hello", "consent": "all"}
    await_that(
        lambda: platform.post("/v1/events", hello, STEADY_KEY), "the edge knows the site", 30, every=0.5
    )


def send_history(platform: Platform) -> None:
    """Steady traffic until now, as a backend sends it afterwards, and a spike."""
    now = int(time.time())
    begin, gap = now // 60 * 60 - 60 * HISTORY_MINUTES, 60 // HITS_A_MINUTE
    times = [*range(begin, now, gap), *[now] * SPIKE_HITS]
    events = [
        {"event": "hit", "id": f"h{n}", "consent": "all", "ts": at * 1_000} for n, at in enumerate(times)
    ]
    answer = platform.post("/v1/events", {"events": events}, STEADY_KEY)
    assert {one["status"] for one in answer["results"]} == {"accepted"}


def event(event_id: str) -> dict[str, Any]:
    """What a backend says under this id; always the same, so that it can be said again."""
    number = int(event_id.rpartition("-")[2])
    return {
        "event": "purchase", "id": event_id, "value": 19.9 + number, "currency": "EUR", "consent": "all",
        "visitor_id": f"visitor-{number}", "user_id": f"user-{number}", "url": "https://shop.example/é?utm_source=mail",
        "properties": {"plan": "gold", "n": [1, None]}, "context": {"ip": "203.0.113.77", "user_agent": BROWSER},
    }  # fmt: skip


def send(platform: Platform, stage: str, again: str = "") -> None:
    """Five events of a backend, three pixels: one consented, one anonymous, one refused. `again`: an id sent before."""
    events = [event(f"{stage}-{number}") for number in range(5)] + ([event(again)] if again else [])
    answer = platform.post("/v1/events", {"events": events}, platform.secret_key)
    assert {one["status"] for one in answer["results"]} == {"accepted"}
    for consent in ("all", "", "none"):
        query = {
            "k": "demo",
            "e": "view",
            "id": f"{stage}-pixel-{consent}",
            "consent": consent,
            "a": "visitor-9",
        }
        platform.get(f"{platform.edge}/p.gif?{urlencode(query)}", timeout=30)


def produce(platform: Platform, stage: str) -> None:
    """Two events of a team's own producer, as JSON and as Avro, and a message that is no event."""
    json_event = {"site": "demo", "event": "purchase", "id": f"{stage}-json", "value": 5, "consent": "all"}
    avro_event = json_event | {
        "id": f"{stage}-avro",
        "currency": "EUR",
        "user_id": "user-7",
        "ip": "203.0.113.77",
    }
    messages = [json.dumps(json_event).encode(), encode_direct_event(avro_event), b'{"event": 7}']
    write(platform, DIRECT, messages)


def access_log(platform: Platform) -> Path:
    """A log beside the platform's folder."""
    return platform.folder / "access.log"


def log_line(name: str) -> str:
    """One line of nginx's JSON log."""
    fields = {
        "time_iso8601": "2026-01-31T12:00:00+00:00", "remote_addr": "198.51.100.9", "status": 200,
        "request": f"GET /{name} HTTP/1.1", "body_bytes_sent": 10, "http_user_agent": BROWSER,
    }  # fmt: skip
    return json.dumps(fields) + "\n"


@contextmanager
def follower(platform: Platform) -> Iterator[None]:
    """The log is followed meanwhile."""
    log = access_log(platform)
    one = Follower(platform, platform.folder, log, "--site", "demo", "--host", "shop.example")
    one.start()
    try:
        yield
    finally:
        assert one.stop() == 0


def write(platform: Platform, topic: str, values: Sequence[bytes]) -> None:
    """Messages on all partitions in turn, acknowledged when this returns."""
    producer = Producer(platform.kafka().client())
    for number, value in enumerate(values):
        producer.produce(topic, value, partition=number % PARTITIONS_DEFAULT)
    assert producer.flush(30) == 0
