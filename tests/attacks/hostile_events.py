"""Requests of somebody who wants to stop the platform, without end, all from one seed.

Most are valid: the edge takes them, and so they reach everything behind it.
"""

from __future__ import annotations

import gzip
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from random import Random
from urllib.parse import quote, quote_plus

from ingest.reading.fields import CONSENT_LENGTH_MAX, LANGUAGE_LENGTH_MAX, SHORT_LENGTH_MAX
from ingest.reading.pixel import QUERY_LENGTH_MAX
from schemas.event import EVENT_ID_LENGTH_MAX, NAME_LENGTH_MAX, PROPERTIES_SIZE_MAX, TEXT_LENGTH_MAX
from tests.attacks.pattern_texts import PUMPS, hostile_text

# Of one, two, three and four bytes in UTF-8; what ends a text elsewhere; right to left; what looks like a digit.
CHARACTERS = (
    "a",
    "é",
    "€",
    "😀",
    "\0",
    "\u202e",
    "\ufeff",
    "\u0301",
    "٣",
    "𝟗",
    "\u2028",
    "ﷺ",
    "İ",
    "ß",
    '"',
    "\\",
    "\x7f",
)
# Two texts in one hash bucket of a table that multiplies by 31, and their products.
COLLIDING = ("Aa", "BB")
ADDRESSES = (
    "203.0.113.7", "::ffff:203.0.113.7", "::1", "2001:db8::" + "1:" * 5 + "1", "fe80::1%" + "z" * 3_000, "0x7f.1",
    "010.1.1.1",
    "1" * 4_000, "203.0.113.7, 10.0.0.1", "[2001:db8::1]:80", "٢٠٣.٠.١١٣.٧", "::ffff:0:203.0.113.7",
    "64:ff9b::cb00:7107", ":" * 4_000,
)  # fmt: skip
NUMBERS = (
    "0", "-0", "-0.0", "1e-400", "5e-324", "1e308", "1e309", "1e999999999", "-1e999999999", "9007199254740993",
    "0.1" + "0" * 500,
    "18446744073709551615", "18446744073709551616", "-9223372036854775809", "1" * 400, "1" * 60, "1" * 61,
    "0." + "9" * 50,
    "99999999999999.99999", "1E+2", "NaN", "Infinity", "-Infinity", "1_000", "0x10", "1e5e5", "٣", "+1", "01", ".5",
    "5.",
)  # fmt: skip
# Those that JSON may hold, and those an amount may be.
JSON_NUMBERS = (
    "0",
    "-0",
    "-0.0",
    "1e-400",
    "5e-324",
    "1e308",
    "-1e308",
    "9007199254740993",
    "18446744073709551615",
    "1E+2",
)
SMALL = (
    "0",
    "-0.0",
    "1e-400",
    "5e-324",
    "1e2",
    "0.1" + "0" * 40,
    "99999999999.9999",
    "-99999999999.99995",
    "1E+2",
)
TIMES = (
    "0", "1", "-1", "253402300799999", "253402300800000", "1e400", '"0001-01-01T00:00:00+23:59"',
    '"9999-12-31T23:59:59-23:59"',
    '"2026-02-30"', '"2026-W01-1"', '"20260131T1200"', "1763800000", '"1e15"', '"٣"', "null", "true", "[]",
    '"' + "1" * 4_300 + '"',
)  # fmt: skip
CURRENCIES = ("EUR", "eur", "EU", "EURO", "ſſſ", "İİİ", "123", "\0\0\0", "", "E" * 4_000)
SIGNALS = (
    "all", "none", "measurement", "necessary," * 800, "measurement," * 650, "," * 7_999, "a," * 3_999, "all&gpp=x",
    "CP" + "A" * 3_000,
    "DBABMA~" * 500, "1YNN", "%61ll", "ALL ", "İmeasurement", "\0all", "measurement\u200b",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class HostileRequest:
    """One request; `kind` says what is bad about it."""

    kind: str
    method: str
    path: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    events: int = 1  # that it holds, as somebody counts who wants to send so many a second

    def as_bytes(self) -> bytes:
        """As it goes over the wire, on a connection that stays."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        length = f"Content-Length: {len(self.body)}\r\n" if self.method == "POST" else ""
        return (
            f"{self.method} {self.path} HTTP/1.1\r\nHost: edge\r\n{lines}{length}\r\n".encode("latin-1")
            + self.body
        )


def hostile_requests(seed: int, key: str, prefix: str = "hostile") -> Iterator[HostileRequest]:
    """Requests without end. key: of a site, public or secret; prefix: what most of their ids begin with."""
    rng, number = Random(seed), 0
    while True:
        number += 1
        kind = rng.choice(list(KINDS))
        yield KINDS[kind](rng, key, f"{prefix}-{seed}-{number}")


def at_limit(rng: Random, limit: int) -> int:
    """A length at a limit, one beside it, or far beyond."""
    return rng.choice((limit, limit - 1, limit + 1, limit, limit // 2, limit * 3))


def text(rng: Random, limit: int) -> str:
    """A text at its limit: bad for patterns, or all of one odd character."""
    length = at_limit(rng, limit)
    return rng.choice(CHARACTERS) * length if rng.random() < 0.3 else hostile_text(rng, length)


def event_fields(rng: Random, event_id: str) -> dict[str, str]:
    """An event of the native API: name -> JSON text, a few fields of it hostile and the rest as usual."""
    fields = {
        "event": '"page_view"',
        "id": json.dumps(event_id),
        "consent": '"all"',
        "url": '"https://shop.example/a?page=1"',
    }
    texts = {
        "event": NAME_LENGTH_MAX, "url": TEXT_LENGTH_MAX, "referrer": TEXT_LENGTH_MAX, "title": TEXT_LENGTH_MAX,
        "visitor_id": EVENT_ID_LENGTH_MAX, "user_id": EVENT_ID_LENGTH_MAX, "session_id": EVENT_ID_LENGTH_MAX,
    }  # fmt: skip
    for name in rng.sample(list(texts), rng.randint(0, 4)):
        said = (
            hostile_text(rng, NAME_LENGTH_MAX)
            if name == "event" and rng.random() < 0.9
            else text(rng, texts[name])
        )
        fields[name] = json.dumps(said, ensure_ascii=rng.random() < 0.2)
    if rng.random() < 0.3:
        host, path, source = (hostile_text(rng, length) for length in (300, 900, 300))
        address = f"https://{host}/{path}?utm_source={quote(source)}"
        fields["url"] = json.dumps(f"{address}&page={nested(rng)}&q={hostile_text(rng, 900)}#x")
    if rng.random() < 0.3:
        fields["value"] = rng.choice(SMALL) if rng.random() < 0.9 else json.dumps(rng.choice(NUMBERS))
        fields["currency"] = json.dumps(rng.choice(CURRENCIES) if rng.random() < 0.1 else "EUR")
    for name in ("ts", "sent_at"):
        if rng.random() < 0.05:
            fields[name] = rng.choice(TIMES)
    if rng.random() < 0.3:
        fields["consent"] = json.dumps(rng.choice(SIGNALS)[: CONSENT_LENGTH_MAX + 1])
    if rng.random() < 0.15:
        fields[rng.choice(("gpp", "gdpr_consent", "gcd", "categories"))] = json.dumps(text(rng, 2_000))
    if rng.random() < 0.4:
        fields["context"] = _context(rng)
    if rng.random() < 0.7:
        fields["properties"] = _properties(rng)
    if rng.random() < 0.1:
        fields["id"] = json.dumps(text(rng, EVENT_ID_LENGTH_MAX))
    return fields


def _context(rng: Random) -> str:
    return json.dumps({
        "ip": rng.choice(ADDRESSES), "user_agent": text(rng, TEXT_LENGTH_MAX), "language": text(rng,
        LANGUAGE_LENGTH_MAX),
        "screen": text(rng, SHORT_LENGTH_MAX), "timezone": text(rng, SHORT_LENGTH_MAX), "webdriver": rng.choice((0, 1,
        True, "1")),
    })  # fmt: skip


def _properties(rng: Random) -> str:
    """A JSON object near the largest that is taken."""
    room = PROPERTIES_SIZE_MAX - 100
    match rng.randrange(8):
        case 0:
            return json.dumps({"a": hostile_text(rng, room // 4)}, ensure_ascii=False)
        case 1:
            return json.dumps(
                {hostile_text(rng, 40) + str(i): hostile_text(rng, 40) for i in range(room // 130)}
            )
        case 2:  # depth: names and lists in turns
            depth = rng.choice((100, 240, 248, 249, 250, 251, 254, 255, 300))
            return '{"user":' + '[{"a":' * (depth // 2) + "1" + "}]" * (depth // 2) + "}"
        case 3:
            return '{"n":[' + ",".join(rng.choice(JSON_NUMBERS) for _ in range(200)) + "]}"
        case 4:  # one name many times: the last counts
            return "{" + ",".join(f'"email":"a{i}@x.example"' for i in range(room // 32)) + "}"
        case 5:
            names = ("".join(rng.choice(COLLIDING) for _ in range(12)) for _ in range(room // 32))
            return "{" + ",".join(f'"{name}":1' for name in names) + "}"
        case 6:  # escapes: four bytes of text cost twelve, or are no text at all
            return (
                '{"a":"'
                + rng.choice(("\\u0000", "\\ud83d\\ude00", "\\u0065yJ", "\\u202e")) * (room // 12)
                + '"}'
            )
    return json.dumps({"card": 4111111111111111, "list": [4_111_111_111_111_111] * (room // 20)})


def nested(rng: Random) -> str:
    """A text percent-encoded again and again."""
    found = hostile_text(rng, 30)
    for _ in range(rng.randint(1, 6)):
        found = quote(found, safe="")[:2_000]
    return found


def as_json(fields: dict[str, str]) -> str:
    """An object from JSON texts."""
    return "{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}"


def _post(kind: str, key: str, body: bytes, path: str = "/v1/events", **headers: str) -> HostileRequest:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return HostileRequest(
        kind, "POST", path, body, {"Authorization": f"Bearer {key}", "User-Agent": "x", **given}
    )


def _native(rng: Random, key: str, event_id: str) -> HostileRequest:
    return _post("native", key, as_json(event_fields(rng, event_id)).encode("utf-8", "replace"))


def _agent(rng: Random, key: str, event_id: str) -> HostileRequest:
    """A header of 8 kB that lists of bots and devices must read."""
    agent = hostile_text(rng, 8_000).encode("latin-1", "replace").decode("latin-1")
    safe = "".join(one if one.isprintable() else " " for one in agent).strip()
    body = f'{{"event":"page_view","id":"{event_id}","consent":"all"}}'.encode()
    return _post("agent", key, body, User_Agent=safe, Accept_Language=safe[:300], Referer=safe[:4_100])


def _batch(rng: Random, key: str, event_id: str) -> HostileRequest:
    """Twenty at once, whose ids are the same, or differ in what somebody may fold away."""
    ids = rng.choice((
        [event_id] * 20, [event_id + "\0" * i for i in range(20)], [event_id + " " * i for i in range(20)],
        [event_id + "".join(rng.choice(COLLIDING) for _ in range(8)) for _ in range(20)],
        [event_id + mark for mark in ("é", "e\u0301", "E", "e", "ß", "ss", "\u212b", "\u00c5") * 3],
    ))  # fmt: skip
    events = ",".join(as_json(event_fields(rng, one) | {"id": json.dumps(one)}) for one in ids)
    body = f'{{"events":[{events}]}}'.encode("utf-8", "replace")
    if rng.random() < 0.5:
        return replace(
            _post("batch", key, gzip.compress(body, 1, mtime=0), Content_Encoding="gzip"), events=len(ids)
        )
    return replace(_post("batch", key, body), events=len(ids))


def _same_json(rng: Random, key: str, event_id: str) -> HostileRequest:
    """Names that come twice, beside an event nobody can read."""
    one = f'{{"event":"a","event":"page_view","id":"x","id":"{event_id}","consent":"none","consent":"all"}}'
    broken = rng.choice(
        (
            '{"event":NaN}',
            '{"event":"\\ud800"}',
            "[" * 2_000 + "]" * 2_000,
            '{"value":' + "9" * 100_000 + "}",
            "{",
        )
    )
    return _post("same names", key, f"[{one},{broken}]".encode())


def _empty(rng: Random, key: str, _: str) -> HostileRequest:
    return _post(
        "empty events",
        key,
        gzip.compress(b"[" + b"{}," * rng.choice((499, 999)) + b"{}]", 9, mtime=0),
        Content_Encoding="gzip",
    )


def _pixel(rng: Random, key: str, event_id: str) -> HostileRequest:
    params = {
        "k": key,
        "id": event_id,
        "consent": "all",
        "e": hostile_text(rng, 150),
        "url": text(rng, TEXT_LENGTH_MAX),
    }
    params |= {"p." + hostile_text(rng, 20): hostile_text(rng, 300) for _ in range(rng.randint(0, 8))}
    params |= {"v": rng.choice(NUMBERS), "ts": rng.choice(TIMES).strip('"')} if rng.random() < 0.3 else {}
    quoted = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in params.items())
    return HostileRequest(
        "pixel",
        "GET",
        f"/p.gif?{quoted[:QUERY_LENGTH_MAX].rpartition('%')[0] if len(quoted) > QUERY_LENGTH_MAX else quoted}",
    )


def _quoted_pixel(rng: Random, key: str, event_id: str) -> HostileRequest:
    return HostileRequest(
        "nested escapes",
        "GET",
        f"/p.gif?k={key}&id={event_id}&consent=all&url={nested(rng)}&p.{nested(rng)[:99]}=%&p.%=+",
    )


def _segment(rng: Random, key: str, event_id: str) -> HostileRequest:
    call = {
        "type": "track", "event": hostile_text(rng, 190), "messageId": event_id, "userId": text(rng,
        EVENT_ID_LENGTH_MAX),
        "properties": {"url": hostile_text(rng, 4_000), "revenue": rng.choice(NUMBERS), hostile_text(rng,
        30): hostile_text(rng, 3_000)},
        "context": {"consent": {"categoryPreferences": {"measurement": True}}, "userAgent": hostile_text(rng, 4_000)},
    }  # fmt: skip
    return _post("segment", key, json.dumps({"batch": [call], "writeKey": key}).encode(), "/segment/v1/batch")


def _posthog(rng: Random, key: str, event_id: str) -> HostileRequest:
    event = {
        "event": hostile_text(rng, 190),
        "distinct_id": text(rng, 190),
        "uuid": event_id,
        "properties": {"$current_url": hostile_text(rng, 4_000)},
    }
    return _post("posthog", key, json.dumps({"api_key": key, "batch": [event]}).encode(), "/posthog/batch")


def _plausible(rng: Random, key: str, _: str) -> HostileRequest:
    body = {
        "name": "pageview",
        "domain": key,
        "url": hostile_text(rng, 2_000),
        "props": {hostile_text(rng, 30): hostile_text(rng, 1_000)},
    }
    return _post(
        "plausible", key, json.dumps(body).encode(), "/plausible/api/event", User_Agent="Mozilla/5.0"
    )


def _matomo(rng: Random, key: str, _: str) -> HostileRequest:
    url, variables, revenue = map(
        quote, (hostile_text(rng, 2_000), hostile_text(rng, 1_000), rng.choice(NUMBERS))
    )
    query = f"idsite={key}&rec=1&url={url}&_cvar={variables}&revenue={revenue}"
    return HostileRequest("matomo", "GET", f"/matomo/matomo.php?{query}")


def _snowplow(rng: Random, key: str, event_id: str) -> HostileRequest:
    entity = {
        "schema": "iglu:x.example/a/jsonschema/1-0-0",
        "data": {hostile_text(rng, 30): [[hostile_text(rng, 900)]]},
    }
    schema = "iglu:com.snowplowanalytics.snowplow/contexts/jsonschema/1-0-0"
    contexts = urlsafe_b64encode(json.dumps({"schema": schema, "data": [entity]}).encode()).decode()
    one = {
        "e": "se",
        "se_ac": hostile_text(rng, 190),
        "aid": key,
        "p": "web",
        "url": hostile_text(rng, 3_000),
    }
    one |= {
        "eid": event_id,
        "cx": contexts,
        "duid": text(rng, EVENT_ID_LENGTH_MAX),
        "se_va": rng.choice(NUMBERS),
    }
    schema = "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4"
    body = json.dumps({"schema": schema, "data": [one]}).encode()
    return _post("snowplow", key, body, "/snowplow/com.snowplowanalytics.snowplow/tp2")


def _beacon(rng: Random, key: str, event_id: str) -> HostileRequest:
    """What the tag sends, which shares consent and context among its events."""
    events = (as_json(event_fields(rng, f"{event_id}-{i}") | {"consent": '"all"'}) for i in range(2))
    common = as_json({"context": _context(rng), "consent": '"all"'})
    body = f'{{"k":"{key}","page":"{event_id}","common":{common},"events":[{",".join(events)}]}}'
    return replace(
        _post("beacon", key, body.encode("utf-8", "replace"), "/b", Content_Type="text/plain"), events=2
    )


def _cloudevent(rng: Random, key: str, event_id: str) -> HostileRequest:
    event = {
        "specversion": "1.0",
        "type": hostile_text(rng, 190),
        "source": "/" + hostile_text(rng, 200),
        "id": event_id,
        "data": {"a": rng.choice(PUMPS) * 900},
    }
    return _post("cloudevent", key, json.dumps(event).encode(), Content_Type="application/cloudevents+json")


KINDS: dict[str, Callable[[Random, str, str], HostileRequest]] = {
    "native": _native, "native again": _native, "native once more": _native, "agent": _agent, "batch": _batch,
    "same names": _same_json, "empty events": _empty, "pixel": _pixel, "nested escapes": _quoted_pixel,
    "segment": _segment,
    "posthog": _posthog, "plausible": _plausible, "matomo": _matomo, "snowplow": _snowplow, "beacon": _beacon,
    "cloudevent": _cloudevent,
}  # fmt: skip
