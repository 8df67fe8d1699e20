"""Kafka is away until the spool is full: no refusal before, 503 from then on, and nothing acknowledged is lost.

The real outage, ten minutes: `pytest tests/faults/test_kafka_away_long.py --kafka-away-seconds 600
--kafka-away-spool-bytes 100000000`.
"""

from __future__ import annotations

import json
import re
import time
import urllib.error

import pytest

from tests.faults.faults import killed_and_stopped
from tests.load import Load, check_books
from tests.platform import Platform, await_that

EVENTS_PER_SECOND = 2_000
FULL_SECONDS_MAX = 300  # after the asked time, until the spool is full


def read_metrics(platform: Platform) -> tuple[float, float]:
    """(how full the spool is, events refused because nothing had room)."""
    text = platform.get(f"{platform.edge}/metrics").decode()
    fill = re.search(r"^fairpixel_ingest_spool_fill (\S+)", text, re.MULTILINE)
    refused = re.search(r'^fairpixel_ingest_refused_total\{reason="unavailable"\} (\S+)', text, re.MULTILINE)
    assert fill is not None
    return float(fill[1]), float(refused[1]) if refused else 0.0


def ready_status(platform: Platform) -> tuple[int, dict[str, list[str]]]:
    """What /readyz says, whatever its status."""
    try:
        return 200, json.loads(platform.get(f"{platform.edge}/readyz"))
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


@pytest.mark.timeout(2_400)
def test_kafka_away_at_a_steady_rate_until_the_spool_is_full(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> None:
    seconds = request.config.getoption("kafka_away_seconds")
    bound = request.config.getoption("kafka_away_spool_bytes")
    platform = Platform(tmp_path_factory.mktemp("away"), env={"FAIRPIXEL_INGEST_SPOOL_BYTES_MAX": str(bound)})
    platform.up()
    try:
        with Load(platform, 7, events_per_second=EVENTS_PER_SECOND) as load:
            load.await_answers()
            start = time.monotonic()
            with killed_and_stopped(platform, "kafka"):
                warned_at, rate = fill_up(platform, load, start, seconds)
                status, said = ready_status(platform)
                assert status == 503
                assert "the spool takes nothing more" in said["reasons"][0]
                away_s = time.monotonic() - start
            await_that(lambda: ready_status(platform)[0] == 200, "hits are taken again", 60)
            load.await_answers(100)
        platform.settle(600)
        check_books(platform, load.books, prefix=f"{load.seed}-")
    finally:
        platform.down()
    assert warned_at is not None
    print(
        f"away for {away_s:.0f} s at {rate:,.0f} events/s, warned after {warned_at:.0f} s; "
        f"{len(load.books.kept)} kept, {load.books.failures} refused"
    )


def fill_up(platform: Platform, load: Load, start: float, seconds: float) -> tuple[float | None, float]:
    """Let traffic flow for so long and until the spool is full: (seconds to its warning, events acknowledged a second
    until the first refusal). Nobody is refused before."""
    warned_at, rate, before = None, 0.0, load.books.acknowledgements
    refused_before = read_metrics(platform)[1]
    while True:
        failures = load.books.failures
        fill, refused = read_metrics(platform)
        now = time.monotonic() - start
        if not failures:
            rate = (load.books.acknowledgements - before) / now
        if fill >= 0.8 and warned_at is None:
            warned_at = now
            assert any("% full" in one for one in ready_status(platform)[1]["warnings"])
        if fill >= 1 and refused > refused_before and load.books.failures and now >= seconds:
            return warned_at, rate
        assert fill >= 0.9 or (refused == refused_before and not failures), (fill, refused, failures)
        assert now < seconds + FULL_SECONDS_MAX, f"the spool is {fill:.0%} full after {now:.0f} s"
        load.run_for(0.2)
