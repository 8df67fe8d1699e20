"""No text makes a pattern or a step slow: ten times the length costs about ten times the time."""

from __future__ import annotations

import re

import pytest

from tests.attacks.growth import grows_faster
from tests.attacks.patterns import Found, find_patterns, worst_texts
from tests.streams.steps.plain_scrub import TOKEN

PATTERNS = find_patterns()


def slow_texts(found: Found) -> list[str]:
    """What is worst for a pattern: the text and what it cost."""
    flags = getattr(found.pattern, "flags", 0)
    slow = []
    for start, piece, end in worst_texts(found.pattern.pattern, flags):

        def text(length: int, start: str = start, piece: str = piece, end: str = end) -> str:
            return start + (piece * (length // len(piece) + 1))[:length] + end

        if seen := grows_faster(found.run, text):
            slow.append(f"{start[:20]!r} + {piece[:40]!r} * n + {end!r}: {seen}")
            break
    return slow


def test_the_patterns_of_all_programs_are_found() -> None:
    places = {one.where for one in PATTERNS}
    assert {
        "streams.steps.urls._ADDRESS",
        "streams.steps.findings.NUMBER",
        "ingest.serving.http1._HEAD",
    } <= places
    assert len(PATTERNS) >= 40


@pytest.mark.parametrize("found", PATTERNS, ids=lambda one: one.where)
def test_a_pattern_takes_time_linear_in_the_text(found: Found) -> None:
    assert slow_texts(found) == []


@pytest.mark.parametrize("pattern", [TOKEN, r"(?:a|b)*c", r"(a+)+$", r"\s+$"])
def test_what_is_slow_would_be_found(pattern: str) -> None:
    assert slow_texts(Found("mutant", re.compile(pattern), True))
