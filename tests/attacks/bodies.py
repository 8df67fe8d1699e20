"""Requests made to hold up whoever reads them: small on the wire, or dear for their size; one or more an endpoint."""

from __future__ import annotations

import base64
import gzip
from random import Random
from typing import NamedTuple
from urllib.parse import quote

from ingest.reading.body import zstd

PUBLIC = {"Authorization": "Bearer demo"}
CLOUD = {"ce-specversion": "1.0", "ce-id": "a", "ce-source": "b", "ce-type": "c"}


class Hostile(NamedTuple):
    """One request."""

    path: str
    body: bytes = b""
    headers: dict[str, str] = {}  # noqa: RUF012  # never changed


def many(item: bytes, count: int, before: bytes = b"[", after: bytes = b"]") -> bytes:
    return before + (item + b",") * (count - 1) + item + after


def fields(count: int, value: bytes = b"1") -> bytes:
    """So many fields that no two of them share a name."""
    return b",".join(b'"k%x":%s' % (number, value) for number in range(count))


def inner(body: bytes) -> bytes:
    """Compressed where no header tells."""
    return quote(base64.b64encode(gzip.compress(body))).encode()


def noise(size: int) -> bytes:
    """Bytes that nothing makes smaller."""
    return Random(1).randbytes(size)


GZIP_MEMBERS, ZSTD_FRAMES = gzip.compress(b"") * 98, zstd.compress(b"") * 98
EMPTY_BLOCKS = bytes.fromhex("0208208000")  # four of deflate, of the fixed codes
EMPTY = many(b"{}", 3_300_000)  # 10 MB, and 10 kB of gzip
SNOWPLOW = "/com.snowplowanalytics.snowplow/tp2"
TP2 = b'{"schema":"iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4","data":'
BATCH = b'{"api_key":"demo","batch":'
GA4 = "/mp/collect?api_secret=sk-demo&measurement_id=demo"


def hostile_requests() -> dict[str, Hostile]:
    """All of them, by name; made anew, as they are 100 MB."""
    return {
        "empty events": Hostile("/v1/events", gzip.compress(EMPTY, 1), PUBLIC),
        "empty lists": Hostile("/v1/events", gzip.compress(many(b"[]", 3_300_000), 1), PUBLIC),
        "numbers": Hostile("/v1/events", many(b"1", 2_400_000), PUBLIC),
        "one name each": Hostile("/v1/events", b'{"event":"x","properties":{%s}}' % fields(390_000), PUBLIC),
        "depth": Hostile("/v1/events", b"[" * 5_000_000, PUBLIC),
        "small events": Hostile("/v1/events", many(b'{"event":"a"}', 5_000), PUBLIC),
        "unknown keys": Hostile("/v1/events", many(b'{"event":"a",%s}' % fields(35), 5_000), PUBLIC),
        "lines": Hostile("/v1/events", b'{"event":"a"}\n' * 5_000, PUBLIC),
        "empty lines": Hostile("/v1/events", b"\n" * 199_000 + b"1", PUBLIC),
        "broken list": Hostile("/v1/events", many(b'{"event":NaN}', 5_000), PUBLIC),
        "broken numbers": Hostile("/v1/events", many(b"1", 199_000, after=b",NaN]"), PUBLIC),
        "a text that never ends": Hostile("/v1/events", b'["' + b"a" * 4_900_000, PUBLIC),
        "escapes that never end": Hostile("/v1/events", b'["' + b'\\"' * 2_400_000, PUBLIC),
        "empty members": Hostile("/v1/events", GZIP_MEMBERS + gzip.compress(noise(4_900_000), 0), PUBLIC),
        "empty frames": Hostile("/v1/events", ZSTD_FRAMES + zstd.compress(noise(4_900_000), 1), PUBLIC),
        "empty blocks": Hostile(
            "/v1/events", b"\x78\x9c" + EMPTY_BLOCKS * 900_000, {**PUBLIC, "Content-Encoding": "deflate"}
        ),
        "a long number": Hostile("/v1/events", b"[%s]" % (b"1" * 4_900_000), PUBLIC),
        "CloudEvents": Hostile(
            "/v1/events",
            many(b'{"specversion":"1.0","id":"a","source":"b","type":"c"}', 5_000),
            {**PUBLIC, "Content-Type": "application/cloudevents-batch+json"},
        ),
        "a CloudEvent of zeros": Hostile(
            "/v1/events", gzip.compress(bytes(9_900_000)), {**PUBLIC, **CLOUD, "Content-Type": "x/y"}
        ),
        "parameters": Hostile("/v1/events?" + "%41&" * 16_000, b'{"event":"a"}', PUBLIC),
        "what all events share": Hostile(
            "/b", b'{"k":"demo","common":{"event":"x",%s},"events":%s}' % (fields(230), many(b"{}", 4_000))
        ),
        "cookies": Hostile(
            "/b",
            b'{"k":"demo","events":[%s]}'
            % b",".join(b'{"event":"a","consent":"none","gpp":"%d"}' % number for number in range(20)),
            {"Cookie": ";" * 120_000},
        ),
        "cookies of our name": Hostile(
            "/b", b'{"k":"demo","events":[{"event":"a","consent":"all"}]}', {"Cookie": "xfp_demo=;" * 12_000}
        ),
        "half a character": Hostile("/b", b'{"k":"demo","events":%s,"x":"\\ud800"}' % many(b"[]", 95_000)),
        "purposes": Hostile("/v1/consent", b'{"k":"demo","consent":{%s}}' % fields(190_000, b"true")),
        "what all calls share": Hostile(
            "/v1/batch",
            b'{"writeKey":"demo","context":{%s},"batch":%s}'
            % (fields(900), many(b'{"type":"track","event":"x"}', 400)),
        ),
        "calls": Hostile(
            "/v1/batch",
            b'{"writeKey":"demo","batch":%s}'
            % many(b'{"type":"track","event":"x","anonymousId":"a"}', 2_500),
        ),
        "dotted names": Hostile("/v1/pixel/track?writeKey=demo&" + "a.b.c.d=1&" * 6_000),
        "trackers' events": Hostile(SNOWPLOW, TP2 + many(b'{"e":"pv","aid":"demo"}', 5_000) + b"}"),
        "loose lists": Hostile(SNOWPLOW, many(b"[]", 99_000, after=b",NaN]")),
        "loose numbers": Hostile(SNOWPLOW, many(b"1", 149_000, after=b",NaN]")),
        "bulk": Hostile("/matomo.php", b'{"requests":%s}' % many(b'"?idsite=demo&rec=1"', 5_000)),
        "bulk parameters": Hostile(
            "/matomo.php", b'{"requests":%s}' % many(b'"?idsite=demo&rec=1&%s"' % (b"a%41=1&" * 490), 1_400)
        ),
        "a form": Hostile("/matomo.php", b"idsite=demo&rec=1&url=" + b"%41" * 1_600_000),
        "ampersands": Hostile("/matomo.php", b"&" * 4_900_000),
        "measurements": Hostile(GA4, b'{"client_id":"a","events":%s}' % many(b'{"name":"a"}', 9_000)),
        "measurements looked at": Hostile(f"/debug{GA4}", b'{"events":%s}' % many(b"{}", 300_000)),
        "domains": Hostile("/api/event", b'{"n":"pageview","u":"https://a/","d":"%s"}' % (b"," * 900_000)),
        "captures": Hostile("/e", BATCH + many(b'{"event":"a","distinct_id":"x"}', 5_000) + b"}"),
        "captures inside": Hostile(
            "/e", b"data=" + inner(BATCH + many(b'{"event":"a","distinct_id":"x"}', 5_000) + b"}")
        ),
        "a bomb inside": Hostile("/e", b"data=" + inner(EMPTY)),
        "a bomb in the address": Hostile("/e?data=" + inner(EMPTY).decode()),
        "percent signs": Hostile("/e", b"data=" + b"%41" * 1_600_000),
        "a mail service": Hostile("/v1/mail/mandrill?k=demo", b"mandrill_events=" + b"%41" * 1_600_000),
        "long words": Hostile(
            "/v1/mail/mailchimp?k=demo&secret=c",
            b"type=subscribe&data[list_id]=%s&data[reason]=%s" % (b"a" * 3_999, b"a" * 3_999),
        ),
    }
