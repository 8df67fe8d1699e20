"""A person starts the platform, fires one pixel and sees its row; and everything else a first hour holds."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import urllib.error
import urllib.request

import pytest

from tests.journeys.rows import fresh_id, row_of
from tests.platform import Platform, await_that


def shell(command: str) -> str:
    done = subprocess.run(shlex.split(command), capture_output=True, check=True, timeout=30)
    return done.stdout.decode("utf-8", "replace")


def test_the_printed_curl_makes_the_row_that_the_printed_query_shows(
    platform: Platform, welcome: str
) -> None:
    pixel, query = re.findall(r"^ +(curl .*)$", welcome, re.MULTILINE)[:2]
    answer = shell(pixel)
    assert answer.startswith("HTTP/1.1 200")
    assert "GIF89a" in answer
    assert await_that(lambda: "page_view" in shell(query), "the printed query shows the row", 30)


def test_the_secret_key_is_printed_by_the_first_start_only(platform: Platform, welcome: str) -> None:
    assert platform.secret_key in welcome
    assert platform.secret_key not in platform.up()


def test_with_consent_the_row_has_a_network_and_a_hash_and_no_person(platform: Platform) -> None:
    event_id = fresh_id()
    event = {"event": "page_view", "id": event_id, "consent": "all", "visitor_id": "visitor-0123456789abcdef",
             "url": "https://shop.example/a?utm_source=mail&page=2&secret=1",
             "context": {"ip": "203.0.113.77"}}  # fmt: skip
    platform.post("/v1/events", event, platform.secret_key)
    row = row_of(platform, event_id)
    assert row["ip_network"] == "203.0.113.0"
    assert re.fullmatch("[0-9a-f]{32}", str(row["visitor"]))
    assert (row["host"], row["path"], row["query"], row["utm_source"]) == (
        "shop.example",
        "/a",
        "page=2",
        "mail",
    )
    assert row["basis"] == "consented"
    assert "203.0.113.77" not in json.dumps(row)


def test_without_a_choice_the_row_is_anonymous(platform: Platform) -> None:
    event_id = fresh_id()
    url = "https%3A%2F%2Fshop.example%2Fa%3Futm_source%3Dmail"
    platform.get(f"{platform.edge}/p.gif?k=demo&id={event_id}&a=visitor-0123456789abcdef&url={url}")
    row = row_of(platform, event_id)
    assert (row["basis"], row["visitor"], row["ip_network"], row["query"]) == ("anonymous", "", "", "")
    assert row["path"] == "/a"


def test_a_refusal_is_answered_with_200_and_leaves_a_count(platform: Platform) -> None:
    event_id = fresh_id()
    before = platform.count(
        "SELECT sum(no_consent) FROM (SELECT countIf(reason = 'no_consent') no_consent FROM fairpixel.drops)"
    )
    platform.get(f"{platform.edge}/p.gif?k=demo&id={event_id}&consent=none&a=visitor-0123456789abcdef")
    sql = "SELECT countIf(reason = 'no_consent') FROM fairpixel.drops"
    await_that(lambda: platform.count(sql) > before, "the refusal is counted", 30)
    assert platform.query(f"SELECT 1 FROM fairpixel.events WHERE event_id = '{event_id}'") == []


def test_the_same_event_by_pixel_and_by_server_is_one_row(platform: Platform) -> None:
    event_id = fresh_id()
    platform.get(f"{platform.edge}/p.gif?k=demo&e=purchase&id={event_id}&consent=all&v=10&cur=EUR")
    row_of(platform, event_id)
    event = {"event": "purchase", "id": event_id, "value": 19.9, "currency": "EUR", "consent": "all"}
    platform.post("/v1/events", event, platform.secret_key)
    sql = f"SELECT value, trust FROM fairpixel.sightings WHERE event_id = '{event_id}'"
    (sighting,) = await_that(lambda: platform.query(sql), "the second copy is a sighting", 30)
    assert (float(sighting["value"]), sighting["trust"]) == (19.9, "secret")
    assert len(platform.query(f"SELECT 1 FROM fairpixel.events WHERE event_id = '{event_id}'")) == 1


def test_bad_neighbours_do_not_harm(platform: Platform) -> None:
    good, other = fresh_id(), fresh_id()
    body = {
        "events": [
            {"event": "a", "id": good, "consent": "all"},
            {"event": 7},
            {"id": 3},
            {"event": "b", "id": other, "consent": "all"},
        ]
    }
    results = platform.post("/v1/events", body, platform.secret_key)["results"]
    assert [one["status"] for one in results] == ["accepted", "rejected", "rejected", "accepted"]
    assert all(one["code"] and one["message"] for one in results[1:3])
    assert row_of(platform, good)["name"] == "a"
    assert row_of(platform, other)["name"] == "b"


def test_trace_tells_each_stage_s_decision(platform: Platform) -> None:
    stored, refused = fresh_id(), fresh_id()
    for event_id, consent in ((stored, "all"), (refused, "none")):
        platform.get(f"{platform.edge}/p.gif?k=demo&id={event_id}&consent={consent}")
    row_of(platform, stored)
    assert "stored" in platform.run("trace", stored).stdout
    await_that(
        lambda: "no_consent" in platform.run("trace", refused, check=False).stdout,
        "the drop is traced",
        30,
        every=1,
    )


def test_status_lists_every_program_with_pid_health_and_lag(platform: Platform) -> None:
    programs = await_that(lambda: platform.healthy() and platform.programs(), "all is well", 60)
    assert {"kafka", "clickhouse", "ingest", "streams", "sinks", "alerts"} <= programs.keys()
    assert all(
        one["pid"] and {"name", "pid", "health", "consumer_lag"} <= one.keys() for one in programs.values()
    )


def test_doctor_finds_nothing_wrong(platform: Platform) -> None:
    platform.run("doctor")


def test_sql_reads_and_does_not_write(platform: Platform) -> None:
    assert "42" in platform.run("sql", "SELECT 6 * 7").stdout
    assert platform.run("sql", "DROP TABLE fairpixel.events", check=False).returncode != 0


def test_an_unknown_key_is_told_so(platform: Platform) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        platform.post("/v1/events", {"event": "a"}, "nobody")
    assert caught.value.code == 401
    assert {"code", "message", "detail"} <= json.loads(caught.value.read()).keys()
