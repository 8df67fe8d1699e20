"""What a case's placeholders and words mean: a case that could not fail would prove nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.field.cases import Case, Outcome, check, fill, fits, read_cases

NOW = 1_796_060_000.5
SECRETS = {"SECRET": "sk", "MAILCHIMP_SECRET": "mc"}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{{NOW_S}} {{NOW_S-60}} {{NOW_S+2h}}", "1796060000 1796059940 1796067200"),
        ("{{NOW_MS-60000}} {{NOW_MS-1d}}", "1796059940500 1795973600500"),
        ("{{NOW_US-60000000}}", "1796059940500000"),
        ("{{NOW_ISO-60s}}", "2026-11-30T17:32:20.500Z"),
        ("{{NOW_FORM-60}}", "2026-11-30+17%3A32%3A20"),
        ("{{BASE64(SECRET:)}} {{SECRET}} {{MAILCHIMP_SECRET}}", "c2s6 sk mc"),
        ("{{REPEAT(x,5)}}", "xxxxx"),
        ('{"a": {"b": 1}}', '{"a": {"b": 1}}'),
    ],
)
def test_a_placeholder_stands_for_the_time_of_sending_or_a_secret(text: str, filled: str) -> None:
    assert fill(text, SECRETS, NOW) == filled


def test_a_placeholder_that_nobody_knows_is_no_text() -> None:
    with pytest.raises(AssertionError):
        fill("{{NOW_MINUTES}}", SECRETS, NOW)


@pytest.mark.parametrize(
    ("found", "wanted", "does_fit"),
    [
        (1, 1, True), (1, 2, False), (True, 1, False), ("", "", True), ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False), ({}, {}, True), ([1], [1, 2], False), ([{"a": 1}], [{}], True),
        (95, {"has": 64, "lacks": 32}, True), (96, {"lacks": 32}, False), (4_000, {"near": 0}, True),
        (4_000, {"near": 0, "within": 100}, False), ("abc", {"text": "b"}, True), ("abc", {"without": "b"}, False),
        ({"a": ["b"]}, {"text": "b"}, True), ("", {"empty": True}, True), ("x", {"empty": True}, False),
        (3, {"any": [1, 2]}, False), (None, None, True), (None, {"a": 1}, False),
    ],
)  # fmt: skip
def test_a_word_asks_for_what_it_says(found: Any, wanted: Any, does_fit: bool) -> None:
    assert fits(found, wanted) == does_fit


ROW = {"event_id": "e", "name": "x", "flags": 3}
WHOLE = Outcome(
    [{"status": 200}],
    [{"dead": None, "delivered": True}],
    {"e": [ROW]},
    [[ROW]],
    {"x": {"no_consent": 1}},
    "a log",
)
EXPECTED: dict[str, Any] = {
    "answers": [{"status": 200}],
    "messages": [{"dead": None}],
    "rows": {"e": {"flags": {"has": 1}}, "f": None},
    "found": [{"where": "name = 'x'", "rows": [{"name": "x"}]}],
    "drops": {"x": {"no_consent": 1}},
    "absent": ["secret"],
}


def test_a_case_that_came_out_is_through() -> None:
    check(Case("a", "", {}, EXPECTED), WHOLE)


@pytest.mark.parametrize(
    "other",
    [
        {"answers": [{"status": 400}]}, {"messages": [{"dead": "not_an_event"}]}, {"rows": {"e": None}},
        {"rows": {"f": {}}}, {"rows": {"e": {"flags": {"has": 4}}}}, {"found": [{"where": "", "rows": []}]},
        {"found": [{"where": "", "rows": [{"name": "y"}]}]}, {"drops": {"x": {}}}, {"drops": {"y": {"duplicate": 1}}},
        {"absent": ["a log"]}, {"absent": ["event_id"]},
    ],
)  # fmt: skip
def test_a_case_that_did_not_is_told(other: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        check(Case("a", "", {}, EXPECTED | other), WHOLE)


def test_cases_share_neither_ids_nor_events() -> None:
    cases = list(read_cases())
    assert len({case.id for case in cases}) == len(cases)
    events = [event_id for case in cases for event_id in case.expect.get("rows", {})]
    assert len(set(events)) == len(events)
    assert all(case.source and case.why for case in cases)
