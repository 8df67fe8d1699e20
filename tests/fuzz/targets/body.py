"""The body of a POST: compression undone and taken apart, as events, as a list under a key, as a CloudEvent."""

from __future__ import annotations

import gzip
import sys
import zlib

from ingest.reading.body import EVENT_COUNT_MAX, INFLATED_BYTES_MAX, inflate, split_events, split_list
from ingest.reading.cloudevents import split_body
from ingest.reading.fields import Unacceptable

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LENGTH_MAX = 4_000
ENCODINGS = ("", "gzip", "deflate", "zstd", "identity", "br")
TYPES = (
    b"", b"application/json", b"application/x-ndjson", b"application/cloudevents+json", b"application/jsonl",
    b"application/cloudevents-batch+json", b"text/plain;charset=UTF-8", b"application/cloudevents+json;charset=latin-1",
)  # fmt: skip
_LIST = b'{"events": [{"event": "a"}, {"event": NaN}], "sent_at": "2026-01-31T12:00:00Z", "k": "demo"}'
SEEDS = (
    b"\0\0" + _LIST,
    b"\0\0\0" + b'[{"event": "a"}, {"event": 1e999}, {"a": "\\ud800"}]',
    b"\0\x02" + b'{"event": "a"}\n{"event": "b"}\n\n{',
    b"\0\0" + b'{"batch": [{"event": "a"}, {"b": [[]]}, {"c": NaN}]}',
    b"\0\x03" + b'{"specversion": "1.0", "type": "a", "source": "/b", "id": "1", "data_base64": "e30="}',
    b"\0\x05" + b'[{"specversion": "1.0", "type": "a", "source": "/b", "id": "1", "data": {"url": "x"}}]',
    b"\x01\0" + gzip.compress(_LIST, mtime=0) * 2,
    b"\x02\0" + zlib.compress(_LIST),
    b"\x03\0" + zstd.compress(_LIST),
    b"\0\0[" + b"[" * 300,
)
WORDS = (
    b'"events"', b'"batch"', b'"k"', b'"sent_at"', b"NaN", b"Infinity", b"1e999", b'"\\ud800"', b"[[[[", b"{}", b"\n",
    b"\\u0000", b"specversion", b"data_base64", b"data", b"\xef\xbb\xbf", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd",
)  # fmt: skip


def fuzz(data: bytes) -> None:
    """Two bytes choose encoding and content type."""
    if len(data) < 3:
        return
    encoding, content_type, body = ENCODINGS[data[0] % len(ENCODINGS)], TYPES[data[1] % len(TYPES)], data[2:]
    headers = {b"content-type": content_type}
    if data[1] & 0x80:  # a CloudEvent whose attributes are headers
        headers |= {
            b"ce-specversion": b"1.0",
            b"ce-type": body[:9],
            b"ce-source": b"/a",
            b"ce-id": b"1",
            b"ce-x": body[:9],
        }
    try:
        body = inflate(body, encoding)
    except Unacceptable:
        return
    assert len(body) <= INFLATED_BYTES_MAX or body is data[2:]
    for split in (
        lambda: split_body(headers, body).events,
        lambda: split_events(body, content_type.decode()).events,
    ):
        try:
            events = split()
        except Unacceptable:
            continue
        assert len(events) <= EVENT_COUNT_MAX
    try:
        fields, items = split_list(body, "batch")
    except Unacceptable:
        return
    assert isinstance(fields, dict)
    assert items is None or isinstance(items, list)
