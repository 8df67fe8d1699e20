"""Partitions grow between two starts, and an event is one row on whichever side of the growth its copies come."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from schemas.identity import partition_of
from tests.platform import PROGRAMS, Platform, await_that

COUNT = 200  # of each kind of event


def names_of(kind: str) -> list[str]:
    return [f"{kind}-{number}" for number in range(COUNT)]


def send(platform: Platform, *kinds: str) -> None:
    """The events of these kinds; the same ids each time."""
    events = [{"event": "visit", "id": name, "consent": "all"} for kind in kinds for name in names_of(kind)]
    results = platform.post("/v1/events", {"events": events}, platform.secret_key)["results"]
    assert {one["status"] for one in results} == {"accepted"}


def check_each_is_one_row(platform: Platform, kinds: tuple[str, ...], copies: int) -> None:
    """Each event of these kinds is one row, each of so many later copies a sighting, and the ledger is equal."""
    platform.settle()
    rows = platform.query("SELECT event_id FROM fairpixel.events WHERE name = 'visit'")
    assert sorted(row["event_id"] for row in rows) == sorted(
        name for kind in kinds for name in names_of(kind)
    )
    assert platform.count("SELECT count() FROM fairpixel.sightings") == copies
    report = json.loads(platform.run("ledger", "--json").stdout)
    assert {row["difference"] for row in report["totals"]} == {0}


def told_by_doctor(platform: Platform) -> str:
    """What `fairpixel doctor` prints, on one line."""
    return " ".join(platform.run("doctor", check=False).stdout.split())


@pytest.mark.parametrize("first", [1, 2])
def test_partitions_grow_and_no_copy_passes(tmp_path: Path, first: int) -> None:
    platform = Platform(tmp_path, {"FAIRPIXEL_KAFKA_PARTITIONS": str(first)})
    try:
        platform.up()
        assert len(platform.raw_ends()) == first
        send(platform, "decided")
        platform.settle()
        platform.supervise("stop", "streams")
        send(platform, "undecided")  # acknowledged, and decided by nobody before the growth
        platform.down()

        platform.env["FAIRPIXEL_KAFKA_PARTITIONS"] = "4"
        platform.up()
        send(platform, "decided", "undecided", "new")  # the copies of those before come at once
        check_each_is_one_row(platform, ("decided", "undecided", "new"), 2 * COUNT)
        ends = platform.raw_ends()
        assert sorted(ends) == [0, 1, 2, 3]
        assert all(ends.values())
        moved = [name for name in names_of("decided") if partition_of("demo", "visit", name, 4) >= first]
        assert len(moved) > COUNT / 4  # so there was something to be found
        assert "partitions 4 (2 cores, FAIRPIXEL_KAFKA_PARTITIONS is set)" in told_by_doctor(platform)
        platform.down()

        # Later starts keep them whatever the cores; caches that are lost are read again, also from the old partitions.
        del platform.env["FAIRPIXEL_KAFKA_PARTITIONS"]
        platform.env["FAIRPIXEL_CORES"] = "8"
        shutil.rmtree(platform.data / "streams" / "seen")
        platform.up()
        programs = await_that(lambda: platform.healthy() and platform.programs(), "all is well")
        assert set(programs) == {*PROGRAMS, "streams-2"}
        send(platform, "decided", "undecided", "new", "newest")
        check_each_is_one_row(platform, ("decided", "undecided", "new", "newest"), 5 * COUNT)
        assert "edge workers 3, streams workers 2, partitions 4 (8 cores," in told_by_doctor(platform)
    finally:
        platform.down()


def test_what_cannot_grow_is_refused_before_anything_starts(tmp_path: Path) -> None:
    platform = Platform(tmp_path, {"FAIRPIXEL_KAFKA_PARTITIONS": "3"})
    (platform.data / "kafka").mkdir(parents=True)
    (platform.data / "kafka" / "meta.properties").touch()
    done = platform.run("up", "--detach", check=False)
    assert done.returncode == 1
    assert "the topics have 2 partitions, which can be multiplied only" in done.stderr
    assert not (platform.data / "sizes.json").exists()
