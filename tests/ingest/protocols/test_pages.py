"""Every curl in docs/protocols is run as it is there, against a real edge whose Kafka is away: its spool keeps them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.docs.shown import protocol_requests
from tests.ingest.edges import SECRET_KEY, Edge
from tests.processes import REPO, free_port

PAGES = REPO / "docs" / "protocols"
NAMED_OTHERWISE = {"native": "native", "pixel": "native", "tag": "native", "cloudevents": "native"}
COMMANDS = [(Path(one.page).stem, one.text) for one in protocol_requests()]


def test_every_protocol_shows_a_request() -> None:
    assert {page for page, _ in COMMANDS} == {page.stem for page in PAGES.glob("*.md")} - {"README"}


def test_each_request_of_a_page_is_kept(tmp_path: Path) -> None:
    env = {"FAIRPIXEL_INGEST_KAFKA_WAIT_MS_MAX": "50"}
    with Edge(tmp_path, f"127.0.0.1:{free_port()}", env) as edge:
        for _, command in COMMANDS:
            status, body = run(command, edge)
            assert 200 <= status < 300, (command, status, body)
        edge.stop()  # in order, so that nobody holds the spool any more
        kept = {event.protocol for event in edge.spooled()}
    assert kept == {NAMED_OTHERWISE.get(page, page) for page, _ in COMMANDS}


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_each_request_names_the_address_that_make_up_prints(page: str, command: str) -> None:
    assert "http://127.0.0.1:8000/" in command, page


def run(command: str, edge: Edge) -> tuple[int, str]:
    """(status, body) of a command as a shell runs it."""
    there = command.replace("http://127.0.0.1:8000", f"http://127.0.0.1:{edge.port}")
    there = there.replace("<secret key>", SECRET_KEY)
    done = subprocess.run(
        ["bash", "-c", there + " -sS -w '\\n%{http_code}'"],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=30,
        check=True,
    )
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body
