"""Checks of the commands that ask what became of events: trace, ledger, queries, replay."""

from __future__ import annotations

import json
import uuid

from confluent_kafka import Producer

from schemas.topics import DIRECT
from tests.docs.checks import checks
from tests.docs.terminal import Terminal
from tests.platform import await_that


def send_event(terminal: Terminal, event_id: str, name: str = "page_view") -> None:
    """One event with the secret key; it is a row when this returns, whoever sent it first."""
    event = {"event": name, "id": event_id, "consent": "all", "url": "https://shop.example/"}
    terminal.platform.post("/v1/events", {"events": [event]}, terminal.platform.secret_key)
    sql = f"SELECT 1 FROM fairpixel.events WHERE event_id = '{event_id}'"
    await_that(lambda: terminal.platform.query(sql), "the row is there")


def fresh_id() -> str:
    return f"d-{uuid.uuid4().hex}"


@checks("fairpixel ledger")
def accounts_for_every_event(terminal: Terminal, command: str) -> None:
    send_event(terminal, fresh_id())
    terminal.platform.settle()
    printed = terminal.run(command)
    assert "accepted = kept + dropped + dead" in printed
    assert "demo" in printed


@checks("fairpixel trace ID")
def tells_each_stage_s_decision(terminal: Terminal, command: str) -> None:
    event_id = fresh_id()
    send_event(terminal, event_id)
    assert "stored" in terminal.run(command.replace("ID", event_id))


@checks("fairpixel trace order-42")
def tells_the_decisions_on_an_order(terminal: Terminal, command: str) -> None:
    send_event(terminal, "order-42", "purchase")
    assert "stored" in terminal.run(command)


@checks("curl http://127.0.0.1:8000/v1/events/order-42 -H 'Authorization: Bearer <secret key>'")
def answers_with_the_decisions(terminal: Terminal, command: str) -> None:
    send_event(terminal, "order-42", "purchase")
    printed = terminal.run(command.replace("curl ", "curl -sS "))
    assert json.loads(printed)["id"] == "order-42"
    assert "stored" in printed


@checks(
    'fairpixel sql "SELECT name, count() FROM events GROUP BY name"',
    "curl 'http://127.0.0.1:8123/?database=fairpixel' --data "
    '"SELECT name, count() FROM events GROUP BY name FORMAT PrettyCompact"',
)
def counts_events_by_name(terminal: Terminal, command: str) -> None:
    send_event(terminal, fresh_id())
    assert "page_view" in terminal.run(command)


@checks(
    "curl 'http://127.0.0.1:8123/?database=fairpixel&default_format=CSVWithNames' --data "
    '"SELECT name, count() AS events FROM events GROUP BY name"',
    "curl 'http://127.0.0.1:8123/?database=fairpixel&query=SELECT+name,count()+AS+events+FROM+events+GROUP+BY+name"
    "+FORMAT+CSVWithNames'",
)
def answers_in_csv(terminal: Terminal, command: str) -> None:
    send_event(terminal, fresh_id())
    lines = terminal.run(command.replace("curl ", "curl -sS ")).splitlines()
    assert lines[0] == '"name","events"'
    assert any(line.startswith('"page_view",') for line in lines)


def write_direct(terminal: Terminal, *messages: dict[str, object]) -> set[tuple[int, int]]:
    """Messages on the direct topic that the edge cannot take; the (partition, offset) of their dead letters."""
    before = set(terminal.platform.dead_letter_offsets())
    kafka = f"127.0.0.1:{terminal.platform.env['FAIRPIXEL_KAFKA_PORT']}"
    producer = Producer({"bootstrap.servers": kafka, "enable.idempotence": True})
    for message in messages:
        producer.produce(DIRECT, json.dumps({"event": "signup", "consent": "all", **message}).encode())
    assert producer.flush(20) == 0

    def made() -> set[tuple[int, int]]:
        found = set(terminal.platform.dead_letter_offsets()) - before
        return found if len(found) >= len(messages) else set()

    return set(await_that(made, "the dead letters", 60))


def add_site(terminal: Terminal, site: str) -> None:
    """A site that the edge knows when this returns."""
    with (terminal.platform.data / "fairpixel.toml").open("a") as config:
        config.write(f"\n[sites.{site}]\n")
    url = f"{terminal.platform.edge}/p.gif?k={site}"
    await_that(lambda: terminal.platform.get(url), "the edge knows the site", 30)


@checks("fairpixel replay")
def lists_dead_letters(terminal: Terminal, command: str) -> None:
    write_direct(terminal, {"site": "demo", "value": "much"})
    printed = terminal.run(command)
    assert DIRECT in printed
    assert "Replay one:" in printed


@checks("fairpixel replay --all")
def sends_those_again_that_can_be_read(terminal: Terminal, command: str) -> None:
    event_id = fresh_id()
    write_direct(terminal, {"site": "demo", "value": "much"}, {"site": "late", "id": event_id})
    add_site(terminal, "late")
    printed = terminal.run(command)
    assert "left where it is" in printed
    assert f"back on {DIRECT}" in printed
    terminal.rows(f"event_id = '{event_id}'", 1)


@checks("fairpixel replay --partition P --offset O")
def sends_one_again(terminal: Terminal, command: str) -> None:
    event_id = fresh_id()
    ((partition, offset),) = write_direct(terminal, {"site": "later", "id": event_id})
    add_site(terminal, "later")
    here = command.replace(" P ", f" {partition} ")
    assert f"back on {DIRECT}" in terminal.run(here.removesuffix(" O") + f" {offset}")
    terminal.rows(f"event_id = '{event_id}'", 1)


@checks("fairpixel replay --partition 0 --offset 12 --file mended.json")
def sends_a_mended_message_once(terminal: Terminal, command: str) -> None:
    while (0, 12) not in terminal.platform.dead_letter_offsets():
        write_direct(terminal, *({"site": "demo", "value": "much"} for _ in range(10)))
    event_id = fresh_id()
    message = {"site": "demo", "event": "signup", "id": event_id, "consent": "all"}
    terminal.write("mended.json", json.dumps(message))
    for _ in range(2):
        assert f"0/12: back on {DIRECT}" in terminal.run(command)
        terminal.rows(f"event_id = '{event_id}'", 1)
