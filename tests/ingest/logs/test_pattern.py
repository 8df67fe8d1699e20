"""`--pattern`: whatever is said, a reader comes of it or an error that shows the place; no line breaks the reader."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.logs.formats.pattern import PatternFormat
from ingest.logs.formats.pattern_text import APACHE, FIELDS, NGINX, parse_pattern
from runtime.errors import UserError
from tests.attacks.growth import grows_faster
from tests.ingest.builders import NOW_MS, assert_survives_a_pack

PIECES = (
    *(f"${name}" for name in NGINX), *(f"%{name}" for name in APACHE), *(f"{{{name}}}" for name in (*FIELDS, "_")),
    "%{Referer}i", "%{User-Agent}i", "%{sec}t", "%>s", "%%", "$", "%", "{", "}", "${", " ", "\t", '"', "[", "]", "-",
    "é", "\\", "log_format x '", "';", 'LogFormat "',
)  # fmt: skip
ALL = '{ip} {user} [{time}] "{request}" {status} {bytes} "{referrer}" "{user_agent}" {_}'
LINE = b'203.0.113.7 jane doe [17/May/2015:10:05:03 +0200] "GET /a HTTP/1.1" 200 512 "-" "M" x'


@given(
    st.lists(st.sampled_from(PIECES), max_size=20).map("".join) | st.text(max_size=60), st.binary(max_size=60)
)
def test_no_pattern_and_no_line_do_more_than_be_refused(text: str, line: bytes) -> None:
    with suppress(UserError):
        row = PatternFormat(parse_pattern(text), "demo", "", NOW_MS)(line, "id")
        if row:
            assert_survives_a_pack(row)


@given(st.integers(0, len(LINE)), st.binary(max_size=12), st.integers(0, 20))
def test_a_damaged_line_is_a_row_or_refused(at: int, what: bytes, cut: int) -> None:
    row = PatternFormat(parse_pattern(ALL), "demo", "", NOW_MS)(LINE[:at] + what + LINE[at + cut :], "id")
    if row:
        assert_survives_a_pack(row)


@pytest.mark.parametrize(
    "piece", [" ", '" ', "a ", '[17/May/2015:10:05:03 +0200] "GET / HTTP/1.1" 200 1 "', "\\"]
)
@pytest.mark.parametrize("text", [ALL, '{_} {_} {_} {_} {_} "{request}" {_} {time} {_} {status}'])
def test_a_line_takes_time_linear_in_its_length(text: str, piece: str) -> None:
    read = parse_pattern(text).expression.fullmatch

    def line(length: int) -> str:
        return (piece * (length // len(piece) + 1))[:length] + "!"

    assert not grows_faster(lambda one: read(one.encode()), line)


def test_the_place_is_shown_also_far_behind_in_a_long_pattern() -> None:
    text = "$http_a " * 40 + "$ $time_local"
    with pytest.raises(UserError) as caught:
        parse_pattern(text)
    what, shown, caret = caught.value.what.splitlines()
    assert what.startswith("--pattern, character 321: ")
    assert shown[len(caret) - 1] == "$"
    assert shown[len(caret)] == " "
