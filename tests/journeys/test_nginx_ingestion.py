"""nginx ingestion: nginx answers, its log is the queue, and every answered hit becomes one row."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.follower import Follower
from tests.nginx_edge import NginxEdge
from tests.platform import Platform, await_that

PEER = "set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP;"
ROWS = "SELECT count() FROM fairpixel.events WHERE source = 'pixel' AND site = 'steady' AND name = 'wire'"


@pytest.fixture
def edge(platform: Platform, nginx: Path, tmp_path: Path) -> Iterator[NginxEdge]:
    rendered = platform.run("logs", "nginx", "--queue", str(tmp_path / "nginx" / "pixel.log")).stdout
    assert "steady" in rendered
    one = NginxEdge(nginx, tmp_path / "nginx", ["steady"], workers=2, before=PEER)
    one.start()
    yield one
    one.stop()


@pytest.fixture
def follower(platform: Platform, edge: NginxEdge, tmp_path: Path) -> Iterator[Follower]:
    one = Follower(
        platform, tmp_path, edge.queue, "--format", "fairpixel-pixel", "--remove-acknowledged",
        "--nginx-pid", str(edge.pid_file), "--rotate-seconds", "1",
    )  # fmt: skip
    one.start()
    yield one
    one.kill()


def send(edge: NginxEdge, count: int, query: str = "") -> None:
    for number in range(count):
        headers = {"X-Real-IP": "198.51.100.77", "Cookie": "fp=SECRET", "User-Agent": "Mozilla/5.0"}
        target = f"/p.gif?k=steady&e=wire&consent=all&a=SECRET{number}&url=https%3A%2F%2Fshop.example%2Fwire{query}"
        assert edge.request(target, headers)[0] == 200


def queue_texts(edge: NginxEdge) -> str:
    return "".join(path.read_text() for path in edge.folder.glob("pixel.log*"))


def test_every_answered_hit_is_a_row_and_its_line_is_gone(
    platform: Platform, edge: NginxEdge, follower: Follower
) -> None:
    send(edge, 100)
    await_that(lambda: platform.count(ROWS) == 100, "the first hits are rows")
    follower.kill()
    send(edge, 50)
    held = queue_texts(edge)
    assert held.count("\n") >= 50
    assert "SECRET" not in held
    assert "198.51.100.77" not in held
    edge.kill()
    edge.start()
    send(edge, 50)
    send(edge, 3, "&id=order-77")
    os.kill(edge.workers()[0], signal.SIGKILL)  # nginx starts another
    send(edge, 50)
    follower.start()
    await_that(
        lambda: platform.count(ROWS) == 251, "every answered hit is a row, and three of one id are one"
    )
    await_that(lambda: queue_texts(edge) == "", "acknowledged lines are gone")
    assert follower.stop() == 0
    platform.settle()
    assert platform.count(ROWS) == 251
    assert (
        platform.count(f"{ROWS} AND path = '/wire' AND ip_network = '198.51.100.0' AND visitor = ''") == 251
    )
