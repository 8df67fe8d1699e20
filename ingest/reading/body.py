"""The body of a POST: undo its compression within a bound, and take it apart into events, the bad from the good."""

from __future__ import annotations

import re
import sys
import zlib
from dataclasses import dataclass, field
from typing import Any

import orjson

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from ingest.reading.fields import Rejection, Unacceptable
from ingest.reading.times import parse_time

BODY_BYTES_MAX = 5_000_000  # as sent; beyond it 413
INFLATED_BYTES_MAX = 10_000_000  # after decompression; nothing more is ever inflated
# Events of one request: 5,000 x 12 µs = 60 ms during which no other request is answered.
EVENT_COUNT_MAX = 5_000
# Of a body, empty ones included: more would cost 100 MB before they are counted as events.
LINES_MAX = 200_000
# Commas, colons and opening brackets of a JSON text, those in texts too: a call that nothing else can interrupt makes
# at most so many values. 200,000 names and their values take 50 ms, 5,000 events may have 40 of them each.
MARKS_MAX = 400_000
# Of a body that is not JSON as a whole and is taken apart by its brackets; a text of this length is one token, 10 ms.
SCAN_BYTES_MAX = 2_000_000
SCAN_TOKENS_MAX = 300_000  # 300,000 x 0.2 µs = 60 ms

BOM = b"\xef\xbb\xbf"
# Their byte order marks, and an opening bracket in them without one.
_UTF_32 = (b"\xff\xfe\0\0", b"\0\0\xfe\xff", b"{\0\0\0", b"[\0\0\0", b"\0\0\0{", b"\0\0\0[")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff", b"{\0", b"[\0", b"\0{", b"\0[")

GZIP_MAGIC = b"\x1f\x8b"
# Of a gzip file or of zstd: behind each the rest is copied, 100 x 5 MB = 160 ms beside the loop.
MEMBERS_MAX = 100
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
ZSTD_WINDOW_LOG_MAX = 23  # 8 MB, as RFC 8878 recommends: a frame may ask for more memory than its content has
UNREADABLE = Rejection(
    "unreadable_body",
    "The body cannot be read.",
    'body: expected JSON: one event, {"events": [...]}, or an event a line',
)
UNREADABLE_LIST = Rejection(
    "unreadable_body",
    "The body cannot be read.",
    "body: expected JSON: one event, or an object with a list of events",
)
UNREADABLE_EVENT = Rejection(
    "invalid_json",
    "This event is not valid JSON.",
    "event: NaN, Infinity, lone surrogates, huge numbers and deep nesting are not taken",
)
TOO_LARGE = Rejection(
    "body_too_large",
    "The body is too large.",
    f"body: expected at most {BODY_BYTES_MAX:,} bytes, {INFLATED_BYTES_MAX:,} after decompression,"
    f" {EVENT_COUNT_MAX:,} events and {MARKS_MAX:,} of the signs , : [ and {{",
)


class Unreadable:
    """Stands in a list of events for one that is no JSON."""


UNREADABLE_ITEM = Unreadable()


@dataclass(frozen=True, slots=True)
class Body:
    """A body taken apart; an event that is no JSON is UNREADABLE_ITEM."""

    events: list[Any]
    sent_at: int = 0
    key: str = ""  # a site key inside the body
    warnings: list[str] = field(default_factory=list)


def is_compressed(body: bytes, encoding: str) -> bool:
    """Whether `inflate` has to do anything."""
    return body.startswith((GZIP_MAGIC, ZSTD_MAGIC)) or encoding.strip().lower() == "deflate"


def inflate(body: bytes, encoding: str, bytes_max: int = INFLATED_BYTES_MAX) -> bytes:
    """Undo gzip, deflate or zstd, named by the header or seen by their magic bytes. Raises Unacceptable.

    Never makes more than bytes_max bytes, whatever the body claims; what is not compressed may be longer.
    """
    if body[:2] == GZIP_MAGIC:
        return _inflate(body, 16 + zlib.MAX_WBITS, bytes_max)
    if body[:4] == ZSTD_MAGIC:
        return _inflate_zstd(body, bytes_max)
    match encoding.strip().lower():
        case "" | "identity" | "gzip" | "x-gzip" | "zstd":  # some clients say gzip and send plain text
            return body
        case "deflate":
            try:
                return _inflate(body, zlib.MAX_WBITS, bytes_max)  # as RFC 1950 has it
            except Unacceptable as problem:
                if problem.rejection is TOO_LARGE:
                    raise
                return _inflate(body, -zlib.MAX_WBITS, bytes_max)  # as many send it
        case _:
            raise Unacceptable(
                "unknown_encoding",
                "The body's Content-Encoding is not known here.",
                "Content-Encoding: expected gzip, deflate, zstd or none",
            )


def _inflate(body: bytes, window_bits: int, bytes_max: int) -> bytes:
    parts: list[bytes] = []
    room = bytes_max + 1
    try:
        while body:
            if len(parts) >= MEMBERS_MAX:
                raise _refuse(UNREADABLE)
            member = zlib.decompressobj(window_bits)
            part = member.decompress(body, room)
            parts.append(part)
            room -= len(part)
            if room <= 0:
                raise _refuse(TOO_LARGE)
            if not member.eof:
                raise _refuse(UNREADABLE)
            body = member.unused_data  # a gzip file may have several members
            if window_bits < 16:
                break
    except zlib.error:
        raise _refuse(UNREADABLE) from None
    return b"".join(parts)


def _inflate_zstd(body: bytes, bytes_max: int) -> bytes:
    parts: list[bytes] = []
    room = bytes_max + 1
    try:
        while body:
            if len(parts) >= MEMBERS_MAX:
                raise _refuse(UNREADABLE)
            frame = zstd.ZstdDecompressor(
                options={zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG_MAX}
            )
            part = frame.decompress(body, room)
            parts.append(part)
            room -= len(part)
            if room <= 0:
                raise _refuse(TOO_LARGE)
            if not frame.eof:
                raise _refuse(UNREADABLE)
            body = frame.unused_data  # frames may follow each other
    except zstd.ZstdError:
        raise _refuse(UNREADABLE) from None
    return b"".join(parts)


def load(text: bytes | str) -> Any:
    """JSON as it stands, behind a byte order mark too (RFC 8259, section 8.1). Raises orjson.JSONDecodeError, and
    Unacceptable for one of too many values or in another encoding than UTF-8."""
    if len(text) > MARKS_MAX:
        check_marks(text.encode("utf-8", "replace") if isinstance(text, str) else text)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        if isinstance(text, str):
            raise
        if text.startswith(BOM):
            return orjson.loads(text[len(BOM) :])
        if encoding := find_encoding(text):
            raise Unacceptable(
                UNREADABLE.code, UNREADABLE.message, f"body: expected JSON in UTF-8, found {encoding}"
            ) from None
        raise


def begins_json(body: bytes) -> bool:
    """Whether a body that may be a form is JSON: an object or a list, by its first sign."""
    return body[:200].removeprefix(BOM).lstrip()[:1] in (b"{", b"[")


def find_encoding(body: bytes) -> str:
    """UTF-16 or UTF-32 where a text that nobody can read is in one of them, by its mark or the zeros beside its first
    sign; "" where it is not. What a label says is no word about it: JSON is UTF-8 (RFC 8259, sections 8.1 and 11)."""
    if body.startswith(_UTF_32):
        return "UTF-32"
    return "UTF-16" if body.startswith(_UTF_16) else ""


def check_marks(text: bytes) -> None:
    """Raises Unacceptable for more than MARKS_MAX; counted by pieces, so that a bomb is known by its beginning."""
    found = 0
    for start in range(0, len(text), MARKS_MAX):
        piece = text[start : start + MARKS_MAX]
        found += sum(map(piece.count, (b",", b":", b"{", b"[")))
        if found > MARKS_MAX:
            raise _refuse(TOO_LARGE)


def split_events(body: bytes, content_type: str = "") -> Body:
    """Take a body apart. Raises Unacceptable where nothing of it can be read.

    One event, `{"events": [...], "sent_at": ...}`, `[...]`, or NDJSON; the content type decides where it is unclear.
    """
    body = body.removeprefix(BOM)
    try:
        whole = load(body)
    except orjson.JSONDecodeError:
        taken = _split_lines(body, "ndjson" in content_type or "jsonl" in content_type) or _split_broken(body)
        if taken is None:
            raise _refuse(UNREADABLE) from None
    else:
        taken = _split_whole(whole)
    if len(taken.events) > EVENT_COUNT_MAX:
        raise _refuse(TOO_LARGE)
    return taken


def _split_whole(whole: object) -> Body:
    if isinstance(whole, list):
        return Body(whole)
    if not isinstance(whole, dict):
        raise _refuse(UNREADABLE)
    if "events" not in whole:
        return Body([whole], key=_text(whole.get("k")))
    events = whole["events"]
    if not isinstance(events, list):
        raise Unacceptable(
            "invalid_field", "The field events cannot be read.", "events: expected a list of events"
        )
    sent_at, warnings = _read_sent_at(whole.get("sent_at"))
    return Body(events, sent_at, _text(whole.get("k")), warnings)


def _read_sent_at(value: object) -> tuple[int, list[str]]:
    try:
        return parse_time(value, "sent_at"), []
    except Unacceptable as problem:  # the events are worth more than the correction of their clock
        return 0, [f"sent_at ignored: {problem.rejection.detail}"]


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _split_lines(body: bytes, declared: bool) -> Body | None:
    """The lines of an NDJSON body, where one of several is an event by itself, or the sender says so."""
    if body.count(b"\n") > LINES_MAX:
        raise _refuse(TOO_LARGE)
    lines = [line for line in body.split(b"\n") if line.strip()]
    if len(lines) > EVENT_COUNT_MAX:
        return Body(list(lines))  # refused by its length
    if len(lines) < 2 and not declared:
        return None
    items = [_load(line) for line in lines]
    readable = any(isinstance(item, dict) and item for item in items)
    # Declared lines that are JSON one by one are items, also where none is an event: each gets its own result.
    readable = readable or (declared and UNREADABLE_ITEM not in items)
    return Body(items) if readable else None


def _load(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return UNREADABLE_ITEM


# A text that never ends is a token too: else each of its quotes would be tried again, to the end of the body.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{},]', re.DOTALL)
_LIST_START = re.compile(rb'\s*(?:\[|\{\s*"events"\s*:\s*\[)')
_OPENS = re.compile(rb"\s*:\s*\[")


def split_list(body: bytes, key: str) -> tuple[dict[str, Any], list[Any] | None]:
    """Take apart `{"<key>": [...], ...}` or `[...]`: the fields beside the list, and its items.

    The items are None where the object has no such list: it is one event by itself. An item that is no JSON, as the
    bare NaN of Python's encoder, is UNREADABLE_ITEM and spares its neighbours. Raises Unacceptable where nothing of
    the body can be read.
    """
    body = body.removeprefix(BOM)
    try:
        whole = load(body)
    except orjson.JSONDecodeError:
        return _split_broken_list(body, key.encode())
    if isinstance(whole, list):
        return {}, whole
    if not isinstance(whole, dict):
        raise _refuse(UNREADABLE_LIST)
    items = whole.pop(key, None)
    if items is not None and not isinstance(items, list):
        raise Unacceptable(
            "invalid_field", f"The field {key} cannot be read.", f"{key}: expected a list of events"
        )
    return whole, items


def _split_broken_list(body: bytes, key: bytes) -> tuple[dict[str, Any], list[Any]]:
    start = 1 if body[:1] == b"[" else _find_list(body, b'"%s"' % key)
    parts, end = _elements(body, start)
    fields = _load(body[:start] + body[end:])
    if not parts or not isinstance(fields, (dict, list)):
        raise _refuse(UNREADABLE_LIST)
    beside = (
        {name: value for name, value in fields.items() if name != key.decode()}
        if isinstance(fields, dict)
        else {}
    )
    return beside, [_load(part) for part in parts]


def _find_list(body: bytes, quoted_key: bytes) -> int:
    """Where the list under this key of the outermost object begins. Raises Unacceptable where there is none."""
    if len(body) > SCAN_BYTES_MAX:
        raise _refuse(UNREADABLE)
    depth = 0
    for count, token in enumerate(_TOKEN.finditer(body)):
        mark = token[0]
        if mark in (b"{", b"["):
            depth += 1
        elif mark in (b"}", b"]"):
            depth -= 1
        elif depth == 1 and mark == quoted_key and (opens := _OPENS.match(body, token.end())):
            return opens.end()
        if count > SCAN_TOKENS_MAX:
            break
    raise _refuse(UNREADABLE_LIST)


def _split_broken(body: bytes) -> Body | None:
    """The events of a list that is no JSON as a whole, each read by itself: a bad one spares its neighbours.

    Works for `[...]` and for `{"events": [...]}` with the events first; None where the brackets do not fit.
    """
    start = _LIST_START.match(body)
    if start is None:
        return None
    items = [_load(part) for part in _elements(body, start.end())[0]]
    return Body(items) if items else None


def _elements(body: bytes, start: int) -> tuple[list[bytes], int]:
    """The elements of the list that begins before `start`, and where its closing bracket stands."""
    if len(body) > SCAN_BYTES_MAX:
        raise _refuse(UNREADABLE)
    elements: list[bytes] = []
    depth, began = 0, start
    for count, token in enumerate(_TOKEN.finditer(body, start)):
        if count > SCAN_TOKENS_MAX:
            break
        mark = token[0]
        if mark == b",":
            if not depth:
                if len(elements) > EVENT_COUNT_MAX:
                    raise _refuse(TOO_LARGE)
                elements.append(body[began : token.start()])
                began = token.end()
        elif mark in (b"{", b"["):
            depth += 1
        elif mark in (b"}", b"]"):
            depth -= 1
            if depth < 0:
                last = body[began : token.start()]
                return [*elements, last] if last.strip() else elements, token.start()
    raise _refuse(UNREADABLE)  # the list never ends


def _refuse(rejection: Rejection) -> Unacceptable:
    problem = Unacceptable(*rejection)
    problem.rejection = rejection
    return problem
