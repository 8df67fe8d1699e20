"""The processes of an edge: replaced when they end or hang, and a start in vain says why."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.ingest.edges import Edge
from tests.processes import REPO, await_that, free_port


def test_a_worker_that_is_frozen_is_replaced(kafka: str, tmp_path: Path) -> None:
    with Edge(tmp_path, kafka) as edge:
        (worker,) = edge.workers()
        os.kill(worker, signal.SIGSTOP)
        await_that(lambda: edge.workers() not in ([], [worker]), 40, "another worker is started")
        await_that(lambda: edge.get("/p.gif?k=demo")[0] == 200, 20, "it answers")


@pytest.mark.timeout(120)
def test_a_worker_replaced_while_the_configuration_is_broken_leaves_the_other_at_work(
    kafka: str, tmp_path: Path
) -> None:
    with Edge(tmp_path, kafka, {"FAIRPIXEL_INGEST_WORKERS": "2"}) as edge:
        says = edge.folder / "edge.log"
        await_that(lambda: says.read_text().count("edge_started") == 2, 60, "both serve")
        whole = (edge.data / "fairpixel.toml").read_text()
        (edge.data / "fairpixel.toml").write_text("[sites.demo\n")
        killed, other = edge.workers()
        os.kill(killed, signal.SIGKILL)
        await_that(lambda: says.read_text().count("fairpixel config check") >= 2, 60, "it is tried twice")
        assert other in edge.workers()
        assert edge.get("/p.gif?k=demo")[0] == 200
        (edge.data / "fairpixel.toml").write_text(whole)
        await_that(lambda: says.read_text().count("edge_started") == 3, 60, "another one has taken its place")
        assert other in edge.workers()


def start_in_vain(edge: Edge) -> str:
    """What an edge says that cannot start."""
    command = [sys.executable, "-m", "ingest"]
    done = subprocess.run(
        command, env=edge.environ, cwd=REPO, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("breaks", "words"),
    [
        (lambda edge: (edge.data / "fairpixel.toml").write_text("[sites.demo\n"), "fairpixel config check"),
        (lambda edge: (edge.data / "secrets.toml").unlink(), "fairpixel up"),
    ],
    ids=["a broken configuration", "no secrets"],
)
def test_an_edge_that_cannot_start_ends_with_one_sentence(
    tmp_path: Path, breaks: Callable[[Edge], object], words: str
) -> None:
    edge = Edge(tmp_path, f"127.0.0.1:{free_port()}")
    breaks(edge)
    assert words in start_in_vain(edge)


def test_a_busy_port_is_a_sentence_that_says_what_to_do(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        edge = Edge(tmp_path, f"127.0.0.1:{free_port()}", port=taken.getsockname()[1])
        assert "FAIRPIXEL_EDGE_PORT" in start_in_vain(edge)
