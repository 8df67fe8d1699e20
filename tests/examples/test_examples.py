"""Every example runs as its README says, beside one platform, and what it sends becomes rows."""

from __future__ import annotations

import http.client
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext

from tests.platform import Platform, await_that
from tests.processes import REPO, free_port

EXAMPLES = REPO / "examples"
README = (EXAMPLES / "README.md").read_text("utf-8")
COMMANDS = dict(re.findall(r"^\| \[([^]]+)\]\(.+ \| `([^`]+)` \|$", README, re.MULTILINE))
RUN_SECONDS_MAX = 60
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"


def command(example: str) -> list[str]:
    """The command that the README gives, word for word, with the .venv these tests run in."""
    return shlex.split(COMMANDS[example].replace(".venv/bin/", f"{Path(sys.executable).parent}/"))


def environment(platform: Platform, **more: str) -> dict[str, str]:
    """What the README says an example takes from the environment, for this platform."""
    where = {
        "EDGE_URL": platform.edge,
        "KAFKA_BOOTSTRAP": f"127.0.0.1:{platform.env['FAIRPIXEL_KAFKA_PORT']}",
    }
    return {**platform.env, **where, **more}


def run(platform: Platform, example: str, **more: str) -> str:
    """What an example prints; AssertionError with its errors when it fails."""
    done = subprocess.run(
        command(example), cwd=REPO, env=environment(platform, **more), text=True, capture_output=True,
        timeout=RUN_SECONDS_MAX, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def await_rows(platform: Platform, where: str, count: int) -> list[dict[str, Any]]:
    """The rows of a condition, once there are so many."""
    sql = f"SELECT * FROM fairpixel.events WHERE {where} ORDER BY occurred_at, event_id"
    await_that(lambda: len(platform.query(sql)) >= count, f"{count} rows where {where}", 30)
    platform.settle()
    rows = platform.query(sql)
    assert len(rows) == count
    return rows


def check_purchase(platform: Platform, printed: str, trust: str) -> None:
    """The purchase a backend says was accepted is one row."""
    assert "accepted" in printed
    found = re.search(r"order-[0-9a-f-]+", printed)
    assert found is not None
    (row,) = await_rows(platform, f"event_id = '{found[0]}'", 1)
    assert (row["name"], float(row["value"]), row["currency"]) == ("purchase", 19.9, "EUR")
    assert (row["trust"], row["source"]) == (trust, "server" if trust == "secret" else "tag")
    assert row["basis"] == "consented"
    assert row["user"] != ""


@pytest.mark.parametrize("trust", ["public", "secret"])
def test_a_backend_in_python_reports_a_purchase(platform: Platform, trust: str) -> None:
    key = {"SITE_KEY": platform.secret_key} if trust == "secret" else {}
    check_purchase(platform, run(platform, "backend in Python", **key), trust)


def test_a_backend_in_node_reports_a_purchase(platform: Platform, node: Path) -> None:
    path = os.pathsep.join([str(node.parent), platform.env["PATH"]])
    check_purchase(
        platform, run(platform, "backend in Node", SITE_KEY=platform.secret_key, PATH=path), "secret"
    )


def test_a_backend_with_curl_reports_a_purchase(platform: Platform) -> None:
    check_purchase(platform, run(platform, "backend with curl", SITE_KEY=platform.secret_key), "secret")


def test_a_kafka_producer_s_events_are_rows(platform: Platform) -> None:
    printed = run(platform, "Kafka producer")
    ids = re.findall(r"^(signup-\w+): acknowledged$", printed, re.MULTILINE)
    assert len(ids) == 3
    rows = await_rows(platform, f"event_id IN {tuple(ids)}", 3)
    assert {(row["name"], row["source"], row["trust"]) for row in rows} == {("signup", "direct", "secret")}


def test_a_log_is_imported_and_twice_is_once(platform: Platform) -> None:
    count = len((EXAMPLES / "log" / "access.log").read_text("utf-8").splitlines())
    for _ in range(2):
        assert f"{count} lines: {count} accepted, 0 invalid" in run(platform, "log")
        rows = await_rows(platform, "source = 'log'", count)
    assert {row["host"] for row in rows} == {"shop.example"}


class MailParser(HTMLParser):
    """The addresses that a mail program fetches and leads to."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        if address := said.get("src") or said.get("href"):
            self.addresses[tag] = address


def fetch(address: str) -> tuple[int, str]:
    """(status, Location) of one request; no redirect is followed."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.netloc, timeout=15)
    try:
        connection.request("GET", parts.path, headers={"User-Agent": FIREFOX})
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.getheader("Location", "")
    finally:
        connection.close()


def test_a_mail_s_open_and_click_are_rows(platform: Platform) -> None:
    mail = MailParser()
    mail.feed(run(platform, "mail", RECIPIENT="r-of-a-test"))
    assert fetch(mail.addresses["img"])[0] == 200
    assert fetch(mail.addresses["a"]) == (302, "https://shop.example/sale")
    rows = await_rows(platform, "JSONExtractString(properties, 'message') = 'spring-sale'", 2)
    assert {row["name"] for row in rows} == {"mail_open", "mail_click"}
    assert len({row["user"] for row in rows} - {""}) == 1


@pytest.fixture
def page_url(platform: Platform) -> Iterator[str]:
    """Where the example's own server shows its page."""
    more = {"EDGE_URL": platform.edge.replace("127.0.0.1", "localhost"), "PAGE_PORT": str(free_port())}
    server = subprocess.Popen(
        command("page"), cwd=REPO, env=environment(platform, **more), text=True, stdout=subprocess.PIPE
    )
    try:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
    finally:
        server.terminate()
        server.communicate(timeout=10)


def test_a_page_asks_first_and_then_its_events_are_rows(
    platform: Platform, page_url: str, context: BrowserContext
) -> None:
    page = context.new_page()
    page.goto(page_url)
    dialog = page.get_by_role("dialog", name="May we count your visit?")
    dialog.wait_for()
    assert context.cookies() == []
    dialog.get_by_role("button", name="Accept all").click()
    page.get_by_role("button", name="Into the cart").click()
    page.get_by_role("button", name="Buy").click()
    rows = await_rows(platform, "source = 'tag' AND host LIKE 'localhost%'", 4)
    assert sorted(row["name"] for row in rows) == ["add_to_cart", "consent_choice", "page_view", "purchase"]
    (visitor,) = {row["visitor"] for row in rows if row["name"] != "consent_choice"}
    assert visitor != ""
    page.get_by_role("link", name="Privacy choices").click()
    dialog.wait_for()


def test_the_readme_names_every_example() -> None:
    linked = {(EXAMPLES / target).resolve() for target in re.findall(r"\]\(([^)]+)\)", README)}
    words = " ".join(COMMANDS.values())
    for path in EXAMPLES.rglob("*"):
        if path.is_file() and path.name != "README.md" and "__pycache__" not in path.parts:
            assert path in linked or str(path.relative_to(REPO)) in words, f"{path} stands in no line"
