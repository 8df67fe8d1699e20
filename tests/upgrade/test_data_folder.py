"""A data folder that an earlier version left in full motion: today's platform starts on it and goes on.

What lies in it, and how it was made, says tests/upgrade/record.py; why it never grows too old, tests/upgrade/unpack.py.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import pytest

from tests.journeys.follower import Follower
from tests.platform import Platform, await_that
from tests.upgrade.record import GOLDEN, LEDGER, ROWS
from tests.upgrade.traffic import access_log, event
from tests.upgrade.unpack import unpack, window_hours

RECORDED = sorted(GOLDEN.glob("*/folder.json"))
# What a later version may know better of what it decides itself.
JUDGED_ANEW = {"browser", "os", "device", "channel", "bot_score", "bot_signals", "is_bot"}
TIMES = {"received_at", "occurred_at"}
STORES = "streams/seen/*/*.lease"
WATCHED = "SELECT max(version) FROM fairpixel.alert_state WHERE name = 'watcher'"
pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True)
class GoneOn:
    """The platform when all that was under way had arrived, and what stood in it then."""

    platform: Platform
    said: dict[str, Any]
    rows: list[dict[str, Any]]
    ledger: list[dict[str, Any]]
    dead_letters: int
    followed: str  # what the follower of the log printed
    stores: tuple[list[str], list[str]]  # names of the deduplication stores before and after


@pytest.fixture(scope="module", params=RECORDED, ids=lambda path: path.parent.name)
def gone_on(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoneOn]:
    """The recorded folder, started by today's code."""
    said = json.loads(request.param.read_text("utf-8"))
    later_ms = int(time.time() * 1_000) - said["recorded_at_ms"]
    folder = tmp_path_factory.mktemp("upgrade")
    unpack(request.param.with_suffix(".tar.xz"), folder, later_ms)
    platform = Platform(folder, {"FAIRPIXEL_STREAMS_WINDOW_HOURS": str(window_hours(later_ms))})
    stores = names_of_stores(platform)
    try:
        platform.up()
        followed = follow(platform, said["log"])
        await_that(lambda: len(platform.query(ROWS)) >= len(said["rows"]), "all rows", 120, every=0.5)
        platform.settle()
        yield GoneOn(
            platform, said, platform.query(ROWS), platform.query(LEDGER), len(list(platform.dead_letters())),
            followed, (stores, names_of_stores(platform)),
        )  # fmt: skip
    finally:
        platform.run("down", check=False)


def follow(platform: Platform, text: str) -> str:
    """Follow the recorded log on from the recorded position, whose file is named for the log's path."""
    log = access_log(platform)
    log.write_text(text)
    (position,) = (platform.data / "ingest" / "follow").glob("*.json")
    position.rename(position.with_stem(blake2b(f"{log}\0demo".encode(), digest_size=8).hexdigest()))
    follower = Follower(platform, platform.folder, log, "--site", "demo", "--host", "shop.example")
    follower.start()
    try:
        left = "SELECT count() FROM fairpixel.events WHERE path LIKE '/left-%'"
        await_that(lambda: platform.count(left) == 2, "the log's last lines are rows")
        assert follower.stop() == 0
    finally:
        follower.kill()
    return follower.printed.read_text()


def names_of_stores(platform: Platform) -> list[str]:
    return sorted(path.name for path in platform.data.glob(STORES))


def test_what_was_loaded_stands_there_as_before(gone_on: GoneOn) -> None:
    loaded = set(gone_on.said["loaded"])
    assert loaded
    today, then = (
        [row for row in rows if row["event_id"] in loaded] for rows in (gone_on.rows, gone_on.said["rows"])
    )
    assert today == then


def test_what_was_under_way_is_one_row_each_with_the_same_content(gone_on: GoneOn) -> None:
    # When producers' messages are received says Kafka, whose clock was moved; of lines of the log, today's edge.
    outside = {row["event_id"] for row in gone_on.said["rows"] if row["source"] in ("direct", "log")}
    later = outside - set(gone_on.said["loaded"])
    today, then = (
        [
            {
                name: row[name]
                for name in row.keys() - JUDGED_ANEW - (TIMES if row["event_id"] in later else set())
            }
            for row in rows
        ]
        for rows in (gone_on.rows, gone_on.said["rows"])
    )
    assert today == then


def test_the_ledger_is_equal_and_says_what_it_would_have_said(gone_on: GoneOn) -> None:
    assert gone_on.ledger == gone_on.said["ledger"]
    assert {row["difference"] for row in gone_on.ledger} == {0}
    assert "accepted = kept + dropped + dead" in gone_on.platform.run("ledger").stdout


def test_what_nobody_could_read_is_there_and_can_be_opened(gone_on: GoneOn) -> None:
    assert gone_on.dead_letters == gone_on.said["dead_letters"]
    shown = gone_on.platform.run("logs", "rejected", "--site", "demo", "--show").stdout
    assert shown == "198.51.100.77 is no line of a log\n"


def test_the_log_is_followed_from_where_it_was_left(gone_on: GoneOn) -> None:
    assert "2 lines: 2 accepted" in gone_on.followed


def test_the_deduplication_stores_are_taken_up_and_not_thrown_away(gone_on: GoneOn) -> None:
    before, after = gone_on.stores
    assert before == after != []


def test_the_watcher_goes_on_with_the_alert_that_was_open(gone_on: GoneOn) -> None:
    platform = gone_on.platform
    version = platform.count(WATCHED)
    await_that(lambda: platform.count(WATCHED) > version, "a further minute is judged", 150, every=1)
    alert = f"site = 'steady' AND alert_id = '{gone_on.said['alert_id']}'"
    assert platform.count(f"SELECT count() FROM fairpixel.alerts WHERE state = 'open' AND {alert}") == 1


def test_an_event_sent_again_is_a_duplicate_and_a_new_one_is_a_row(gone_on: GoneOn) -> None:
    platform = gone_on.platform
    again = [f"{stage}-3" for stage in ("loaded", "intended", "decided", "raw", "spooled")]
    new = [f"new-{number}" for number in range(5)]
    events = [event(event_id) for event_id in (*again, *new)]
    answer = platform.post("/v1/events", {"events": events}, platform.secret_key)
    assert {one["status"] for one in answer["results"]} == {"accepted"}
    platform.settle()
    rows = platform.query("SELECT event_id FROM fairpixel.events WHERE site = 'demo' AND source = 'server'")
    counts = Counter(row["event_id"] for row in rows)
    assert set(counts.values()) == {1}
    assert counts.keys() - {row["event_id"] for row in gone_on.rows} == set(new)
    seen_again = platform.query("SELECT DISTINCT event_id FROM fairpixel.sightings ORDER BY event_id")
    assert {row["event_id"] for row in seen_again} >= set(again)
    totals = "SELECT sum(hits) - (SELECT count() FROM fairpixel.events) FROM fairpixel.rollup_minute"
    assert platform.count(totals) == 0
    assert platform.query("SELECT * FROM fairpixel.ledger WHERE difference != 0") == []
