"""A server log becomes rows, every line is accounted for, and the same lines never count twice."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from random import Random

import pytest

from tests.platform import Platform

REAL_LOG = (
    Path(__file__).parents[3] / "shared" / "data" / "access.log.gz"
)  # not part of the project; see below
BOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
BROWSER = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"
)


def made_log() -> list[str]:
    """1,000 lines where the real log is absent: repeated lines, bots, one cut off before its closing quote."""
    rng = Random(3)
    lines = [
        f"198.51.100.{rng.randrange(1, 255)} - - [17/May/2015:10:{n // 60 % 60:02d}:{n % 60:02d} +0000] "
        f'"GET /p/{n % 90} HTTP/1.1" '
        f'200 {n} "-" "{BOT if n % 5 == 0 else BROWSER}"'
        for n in range(979)
    ]
    return [*lines, *lines[:20], lines[0][:-1]]


@pytest.fixture
def log(tmp_path: Path) -> tuple[Path, list[str]]:
    """The log as a gzip file, and its lines."""
    if REAL_LOG.exists():
        return REAL_LOG, gzip.decompress(REAL_LOG.read_bytes()).decode("utf-8", "replace").splitlines()
    path = tmp_path / "access.log.gz"
    path.write_bytes(gzip.compress("\n".join(made_log()).encode() + b"\n"))
    return path, made_log()


def totals(platform: Platform) -> tuple[int, int, int]:
    """Rows, hits of the rollup, and refused lines, of events from logs."""
    rows = platform.count("SELECT count() FROM fairpixel.events WHERE source = 'log' AND site = 'demo'")
    hits = platform.count(
        "SELECT sum(hits) FROM fairpixel.rollup_minute WHERE source = 'log' AND site = 'demo'"
    )
    invalid = platform.count("SELECT sum(refused) FROM fairpixel.ledger WHERE site = 'demo'")
    return rows, hits, invalid


def test_each_line_is_a_row_or_a_reason_and_twice_is_once(
    platform: Platform, log: tuple[Path, list[str]], tmp_path: Path
) -> None:
    path, lines = log
    platform.settle()
    assert totals(platform)[0] == 0
    invalid_before = totals(platform)[2]
    printed = platform.run("logs", "import", str(path), "--site", "demo")
    platform.settle()
    rows, hits, invalid = totals(platform)
    assert rows + invalid - invalid_before == len(lines), printed.stdout
    assert invalid - invalid_before == 1
    assert hits == rows
    assert "invalid" in platform.run("ledger").stdout

    copy = tmp_path / "other-name.log"
    copy.write_bytes(gzip.decompress(path.read_bytes()))
    platform.run("logs", "import", str(copy), "--site", "demo")
    platform.settle()
    assert totals(platform) == (rows, hits, invalid)
    assert platform.run("ledger").returncode == 0

    bots = platform.count(
        "SELECT countIf(is_bot) FROM fairpixel.events WHERE source = 'log' AND site = 'demo'"
    )
    assert rows * 0.02 < bots < rows * 0.9
    addresses = {line.split(" ", 1)[0].encode() for line in lines} - {b""}
    looks_like_one = re.compile(rb"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}")
    known = {
        address for address in addresses if looks_like_one.fullmatch(address) and not address.endswith(b".0")
    }
    found = [name for name, text in platform.stores() if not known.isdisjoint(looks_like_one.findall(text))]
    assert found == []
