"""A mail team prints its links with one command, and sees who opened and clicked, and who only seemed to."""

from __future__ import annotations

import http.client
import json
import re
import time
import uuid
from pathlib import Path
from urllib.parse import urlsplit

from tests.platform import Platform, await_that
from tests.processes import REPO

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
APPLE = "Mozilla/5.0"


def follow(address: str, agent: str, method: str = "GET") -> tuple[int, str]:
    """(status, Location) of one request; no redirect is followed."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=15)
    try:
        connection.request(method, f"{parts.path}?{parts.query}", headers={"User-Agent": agent})
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.getheader("Location", "")
    finally:
        connection.close()


def rows_of(platform: Platform, message: str, count: int) -> list[dict[str, object]]:
    """All rows of a mailing, once there are so many."""
    sql = (
        "SELECT *, JSONExtractString(properties, 'verdict') AS verdict FROM fairpixel.events"
        f" WHERE JSONExtractString(properties, 'message') = '{message}' ORDER BY name, verdict"
    )
    await_that(lambda: len(platform.query(sql)) >= count, f"{count} rows of the mailing", 30)
    platform.settle()
    return platform.query(sql)


def test_opens_and_clicks_are_counted_once_with_their_verdict(platform: Platform, tmp_path: Path) -> None:
    message, hour_ago = f"m-{uuid.uuid4().hex[:8]}", str(int(time.time() - 3_600) * 1000)
    words = ("--message", message, "--sent-at", hour_ago, "--consent", "all")
    ids = tmp_path / "ids.txt"
    ids.write_text("r-1\nr-2\nr-3\n")
    printed = platform.run("mail-link", "open", *words, "--recipients", str(ids)).stdout
    pixels = dict(line.split("\t") for line in printed.splitlines())
    link = platform.run(
        "mail-link", "click", "https://shop.example/sale?utm_source=mail&page=2", *words, "--recipient", "r-1"
    ).stdout.strip()

    for _ in range(3):  # a proxy that fetches again is no second person
        assert follow(pixels["r-1"], GMAIL) == (200, "")
    assert follow(pixels["r-2"], APPLE) == (200, "")
    assert follow(pixels["r-3"], FIREFOX) == (200, "")
    assert follow(link, FIREFOX) == (302, "https://shop.example/sale?utm_source=mail&page=2")

    click, *opens = rows_of(platform, message, 4)
    assert [(row["name"], row["verdict"], row["is_bot"]) for row in opens] == [
        ("mail_open", "human", False), ("mail_open", "prefetch", True), ("mail_open", "proxy_human", False),
    ]  # fmt: skip
    assert (click["name"], click["kind"], click["source"], click["basis"]) == (
        "mail_click", "mail", "email", "consented",
    )  # fmt: skip
    assert (click["host"], click["path"], click["utm_source"]) == ("shop.example", "/sale", "mail")
    assert click["user"] == opens[2]["user"] != ""
    assert {row["user"] for row in opens} != {click["user"]}
    for row in (click, *opens):
        assert (row["ip_network"], row["browser"], row["os"]) == ("", "", "")
        assert "r-1" not in json.dumps(row)
    (sql,) = re.findall(
        r"```sql\n(SELECT JSONExtract.*?)```", (REPO / "docs" / "mail.md").read_text("utf-8"), re.DOTALL
    )
    (mailing,) = [row for row in platform.query(sql) if row["mailing"] == message]
    assert (mailing["opened"], mailing["clicked"], mailing["machines"]) == (2, 1, 1)
    assert platform.run("ledger").returncode == 0


def test_without_consent_nobody_can_tell_whose_mail_it_was(platform: Platform) -> None:
    message = f"m-{uuid.uuid4().hex[:8]}"
    sent = str(int(time.time() - 3_600) * 1000)
    for recipient in ("r-1", "r-2"):
        words = ("--message", message, "--recipient", recipient, "--sent-at", sent)
        assert follow(platform.run("mail-link", "open", *words).stdout.strip(), FIREFOX)[0] == 200
    rows = rows_of(platform, message, 2)
    assert [(row["basis"], row["user"], row["visitor"]) for row in rows] == [("anonymous", "", "")] * 2


def test_a_forged_link_leads_nowhere_and_is_counted(platform: Platform) -> None:
    def refused() -> int:
        return platform.count("SELECT sum(refused) FROM fairpixel.ledger WHERE site = ''")

    platform.settle()
    before = refused()
    assert follow(f"{platform.edge}/c/forged?u=https://evil.example", FIREFOX) == (400, "")
    assert follow(f"{platform.edge}/o/forged.gif", FIREFOX)[0] == 400
    await_that(lambda: refused() >= before + 2, "both refusals stand in the ledger", 30)
