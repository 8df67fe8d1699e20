"""A log that is followed: each line is one row through rotation, a kill and an import of the same file afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.follower import Follower
from tests.platform import Platform, await_that

ROWS = "SELECT count() FROM fairpixel.events WHERE source = 'log' AND site = 'steady' AND path LIKE '/followed/%'"


def line(number: int) -> str:
    """One line of nginx's JSON log; each is like one neighbour."""
    return json.dumps(
        {
            "time_iso8601": "2026-01-31T12:00:00+00:00", "remote_addr": "198.51.100.9", "status": 200,
            "request": f"GET /followed/{number // 2} HTTP/1.1", "body_bytes_sent": 10, "http_user_agent": "Mozilla/5.0",
        }
    )  # fmt: skip


def write(log: Path, numbers: range) -> None:
    with log.open("a") as file:
        file.writelines(line(number) + "\n" for number in numbers)


@pytest.fixture
def follower(platform: Platform, tmp_path: Path) -> Iterator[Follower]:
    one = Follower(platform, tmp_path, tmp_path / "access.log", "--site", "steady", "--host", "shop.example")
    yield one
    one.kill()


def test_each_line_of_a_followed_log_is_one_row_whatever_is_killed_or_rotated(
    platform: Platform, follower: Follower, tmp_path: Path
) -> None:
    log = tmp_path / "access.log"
    follower.start()
    write(log, range(1_000))
    await_that(lambda: platform.count(ROWS) > 0, "the first lines are rows")
    write(log, range(1_000, 3_000))
    follower.kill()
    write(log, range(3_000, 4_000))
    rotated = log.rename(log.with_name("access.log.1"))
    write(log, range(4_000, 5_000))
    with log.open("a") as file:
        file.write("198.51.100.77 is no line of this log\n")
    follower.start()
    await_that(lambda: platform.count(ROWS) == 5_000, "every line is a row")
    assert follower.stop() == 0
    platform.run("logs", "import", str(rotated), str(log), "--site", "steady", "--host", "shop.example")
    platform.settle()
    assert platform.count(ROWS) == 5_000
    assert platform.count("SELECT sum(refused) FROM fairpixel.ledger WHERE site = 'steady'") == 1
    shown = platform.run("logs", "rejected", "--site", "steady", "--show").stdout
    assert shown == "198.51.100.77 is no line of this log\n"
    assert not [name for name, text in platform.stores() if b"198.51.100.77" in text]
