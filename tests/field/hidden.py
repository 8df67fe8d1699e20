"""Addresses, mail addresses and one-time tokens, each in any spelling, in any place of any request or line of a log."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import unescape
from ipaddress import IPv4Address, IPv6Address
from random import Random
from unicodedata import category, normalize
from urllib.parse import quote, unquote
from uuid import UUID

from ingest.logs.access_log import LineIds
from ingest.logs.formats import FORMATS, detect
from ingest.reading.client import FORWARDED, X_FORWARDED_FOR, Client, client_ip
from ingest.reading.fields import Rejection
from schemas.event import EVENT_FIELDS, Event
from tests.ingest.builders import NOW_MS, PUBLIC, SECRET, event, pixel
from tests.ingest.logs.access_logs import CADDY, NGINX
from tests.streams.make import CHROME, page_view

MAIL, IP, TOKEN, SHORT = "mail", "ip", "token", "short secret"
AGENT = CHROME


@dataclass(frozen=True)
class Hidden:
    """What must not be found again, and by what it would be recognised."""

    kind: str
    text: str
    traces: tuple[str, ...]  # patterns over a text that reads without escapes, in small letters


# --- what is hidden ---------------------------------------------------------------------------------------------------


def _word(rng: Random, length: int, letters: str = "abcdefghijklmnopqrstuvwxyz") -> str:
    return "".join(rng.choice(letters) for _ in range(length))


def _mail(rng: Random, local: str) -> Hidden:
    return Hidden(MAIL, f"{local}@{rng.choice(_HOSTS)}", (re.escape(_plain(local.strip('"'))),))


_HOSTS = (
    "example.org",
    "mail.example.co.uk",
    "bücher.example",
    "xn--bcher-kva.example",
    "例え.テスト",
    "[203.0.113.9]",
)


def _v4(rng: Random) -> IPv4Address:
    return IPv4Address(
        bytes((rng.choice((198, 203, 92)), rng.randrange(100), rng.randrange(256), rng.randrange(2, 255)))
    )


def _traces_of(address: IPv4Address) -> tuple[str, ...]:
    number = int(address)
    groups = (number >> 16, number & 0xFFFF)
    inverted = (groups[0] ^ 0xFFFF, groups[1] ^ 0xFFFF)
    dotted = r"(?<![\d.])" + r"\.0*".join(("0*" + str(address)).split(".")) + r"(?!\d)"
    # As two groups of IPv6: 6to4 and NAT64, and Teredo's inverted.
    return (
        dotted,
        *(rf"(?<![0-9a-f])0*{one:x}:0*{other:x}(?![0-9a-f])" for one, other in (groups, inverted)),
    )


def _ipv4(rng: Random) -> Hidden:
    address = _v4(rng)
    return Hidden(IP, str(address), _traces_of(address))


def _ipv6(rng: Random) -> Hidden:
    groups = [
        0x2001,
        0xDB8,
        rng.randrange(1, 99),
        rng.randrange(1, 99),
        *(rng.randrange(0x1000, 0xFFFF) for _ in range(4)),
    ]
    if rng.random() < 0.4:
        groups[3:6] = [0, 0, 0]
    address = IPv6Address(b"".join(group.to_bytes(2, "big") for group in groups))
    text = rng.choice((str(address), address.exploded, str(address).upper()))
    return Hidden(IP, text, (rf"0*{groups[6]:x}:0*{groups[7]:x}",))


def _embedded(make: Callable[[IPv4Address], str]) -> Callable[[Random], Hidden]:
    def hide(rng: Random) -> Hidden:
        address = _v4(rng)
        return Hidden(IP, make(address), _traces_of(address))

    return hide


def _groups(number: int) -> str:
    return f"{number >> 16:x}:{number & 0xFFFF:x}"


def _token(make: Callable[[Random], str]) -> Callable[[Random], Hidden]:
    def hide(rng: Random) -> Hidden:
        text = make(rng)
        return Hidden(TOKEN, text, (re.escape(text.lower()[-12:]),))

    return hide


def _base64url(rng: Random) -> str:
    """With two digits: one of 16 signs in a hundred has none or one, and may read as words do."""
    while True:
        text = urlsafe_b64encode(rng.randbytes(rng.choice((12, 16, 24, 33)))).decode().strip("=")
        if sum(map(str.isdigit, text)) > 1:
            return text


SECRETS: Mapping[str, Callable[[Random], Hidden]] = {
    "mail": lambda rng: _mail(rng, f"{_word(rng, 7)}.{_word(rng, 6)}"),
    "mail with a tag": lambda rng: _mail(rng, f"{_word(rng, 9)}+{_word(rng, 4)}"),
    "mail of another script": lambda rng: _mail(rng, "jö" + _word(rng, 8, "абвгдежзиклмно")),
    "mail with marks": lambda rng: _mail(rng, "jo\u0308" + _word(rng, 9)),
    "mail with rare signs": lambda rng: _mail(rng, f"{_word(rng, 6)}!#$*{_word(rng, 6)}"),
    "mail of a picture": lambda rng: _mail(rng, "😀" + _word(rng, 9)),
    "IPv4": _ipv4,
    "IPv4 with a port": lambda rng: (one := _ipv4(rng)) and Hidden(IP, f"{one.text}:51234", one.traces),
    "IPv6": _ipv6,
    "IPv6 with a port": lambda rng: (one := _ipv6(rng)) and Hidden(IP, f"[{one.text}]:443", one.traces),
    "IPv6 with a zone": lambda rng: (one := _ipv6(rng)) and Hidden(IP, f"{one.text}%eth0", one.traces),
    "mapped": _embedded(lambda one: f"::ffff:{one}"),
    "mapped in hex": _embedded(lambda one: f"::ffff:{_groups(int(one))}"),
    "compatible": _embedded(lambda one: f"::{one}"),
    "6to4": _embedded(lambda one: f"2002:{_groups(int(one))}::1"),
    "NAT64": _embedded(lambda one: f"64:ff9b::{_groups(int(one))}"),
    "local NAT64": _embedded(lambda one: f"64:ff9b:1::{_groups(int(one))}"),
    "Teredo": _embedded(lambda one: f"2001:0:4136:e378:8000:63bf:{_groups(int(one) ^ 0xFFFF_FFFF)}"),
    "UUID": _token(lambda rng: str(UUID(int=rng.getrandbits(128)))),
    "ULID": _token(lambda rng: "01" + _word(rng, 24, "0123456789ABCDEFGHJKMNPQRSTVWXYZ")),
    "hex": _token(lambda rng: rng.randbytes(rng.choice((8, 10, 16, 20, 32))).hex()),
    "base64url": _token(_base64url),
    "a short secret": lambda rng: (one := _word(rng, 9)) and Hidden(SHORT, one, (one,)),
}  # fmt: skip

# --- how it is written ------------------------------------------------------------------------------------------------


def _percent(text: str, rng: Random, share: float) -> str:
    return "".join(
        "".join(f"%{byte:02{rng.choice('xX')}}" for byte in one.encode())
        if one in _SIGNS or rng.random() < share
        else one
        for one in text
    )


_SIGNS = "@.:%"


def _again(layers: int) -> Callable[[str, Random], str]:
    def encode(text: str, rng: Random) -> str:
        text = _percent(text, rng, 0.2)
        for _ in range(layers - 1):
            text = text.replace("%", "%25")
        return text

    return encode


def _signs_as(text: str, form: str) -> str:
    return "".join(form.format(ord(one)) if one in _SIGNS else one for one in text)


def _full_width(text: str, rng: Random) -> str:
    return "".join(chr(ord(one) + 0xFEE0) if "!" <= one <= "~" and one != "%" else one for one in text)


def _unseen(text: str, rng: Random) -> str:
    return "".join(one + rng.choice(("", "", "\u200b", "\u00ad", "\u2060", "\ufeff")) for one in text)


ENCODINGS: Mapping[str, Callable[[str, Random], str]] = {
    "plain": lambda text, rng: text,
    "capitals": lambda text, rng: text.upper() if ":" in text or "@" in text else text,
    "percent": _again(1),
    "percent, all of it": lambda text, rng: _percent(text, rng, 1),
    "percent twice": _again(2),
    "percent three times": _again(3),
    "percent four times": _again(4),
    "percent six times": _again(6),
    "percent with u": lambda text, rng: _signs_as(text, "%u{:04x}"),
    "nginx": lambda text, rng: _signs_as(text, "\\x{:02X}"),
    "JavaScript": lambda text, rng: _signs_as(text, "\\u{:04x}"),
    "HTML": lambda text, rng: _signs_as(text, "&#{};"),
    "HTML in hex, encoded": lambda text, rng: quote(_signs_as(text, "&#x{:x};")),
    "full width": _full_width,
    "full width, encoded": lambda text, rng: quote(_full_width(text, rng)),
    "unseen signs": _unseen,
}  # fmt: skip

# --- where it stands --------------------------------------------------------------------------------------------------

WORDS = (
    "reset", "reset-password", "password_reset", "resetPassword", "verify", "verify-email", "emailVerification",
    "invite", "invitations", "magic", "magic-link", "token", "session", "unsubscribe", "confirm",
    "activate", "userReset", "myLogin", "recover", "login", "opt-out", "bestaetigen", "abmelden", "einladung",
)  # fmt: skip
_NAMES = ("note", "remote_addr", "xff", "x", "page", "version", "a.b", "Betreff")
_SECRET_NAMES = ("token", "resetToken", "invite_id", "session", "unsubscribe_link", "verify", "Magic-Link")
_OPENERS = (
    "token", "access_token", "Id-Token", "password", "client_secret", "jsessionid", "api_key", "otp", "sid",
    "authorization", "reset_code",
)  # fmt: skip
_TIME = "17/May/2025:10:05:03 +0000"
_JSON_TIME = "2025-05-17T10:05:03+00:00"
Place = Callable[[str, Hidden, Random], Event | list[Event]]


def _query(text: str) -> str:
    return quote(text, safe="")


def _in_path(text: str, hidden: Hidden, rng: Random) -> str:
    """A path as it stands in an address: what has no place there is encoded once."""
    text = quote(text, safe="%@:!$&'()*+,=~\\")
    if hidden.kind == SHORT:
        return f"/cb{rng.choice(('%3F', '%23', '%3B', '/'))}{rng.choice(_OPENERS)}={text}{rng.choice(('', '&x=1'))}"
    if hidden.kind != TOKEN:
        return f"/{rng.choice(('u', 'ip', 'a/b'))}/{text}{rng.choice(('', '/edit'))}"
    word = rng.choice(WORDS)
    return rng.choice(
        (
            f"/{word}/{text}",
            f"/a/{word}/acme/{text}/go",
            f"/{word}?t={text}",
            f"/{word}-{text}",
            f"/x%3F{word}={text}",
        )
    )


def _properties(text: str, hidden: Hidden, rng: Random) -> dict[str, object]:
    if hidden.kind == SHORT:
        name = rng.choice(_OPENERS)
        link = f"https://shop.example/?x=1&{name}={_query(text)}&y=2"
        return rng.choice((
            {name: text}, {"data": [{name: {"id": [text]}}]}, {"page": link}, {"json": json.dumps({name: text})},
        ))  # fmt: skip
    if hidden.kind == TOKEN:
        link = f"https://shop.example{_in_path(text, hidden, rng)}"
        return rng.choice((
            {rng.choice(_SECRET_NAMES): text}, {"data": {rng.choice(_SECRET_NAMES): {"id": [text]}}}, {"page": link},
            {"list": [{"href": link}]}, {"note": f"see {link} please"}, {"json": json.dumps({"token": text})},
        ))  # fmt: skip
    name = rng.choice(_NAMES)
    return rng.choice((
        {name: text}, {name: f"from {text}, 10.0.0.1"}, {text: 1}, {"a": {"b": [{text: [text]}]}},
        {"page": f"https://shop.example/?mail={_query(text)}"}, {"json": json.dumps({name: text})},
    ))  # fmt: skip


def _announced(text: str, hidden: Hidden, rng: Random) -> str:
    """As a text says a secret that is none without the word before it."""
    if hidden.kind == SHORT:
        return f"{rng.choice(_OPENERS)}={text}"
    return f"{rng.choice(WORDS)}/{text}" if hidden.kind == TOKEN else text


def _pixel(**said: str) -> Event:
    query = "&".join(f"{name.replace('__', '.')}={_query(value)}" for name, value in said.items())
    made = pixel(f"k=demo&{query}", client=Client("", AGENT))
    return page_view() if isinstance(made, Rejection) else made


def _of_pixel_path(text: str, hidden: Hidden, rng: Random) -> Event:
    return _pixel(
        url=f"https://shop.example{_in_path(text, hidden, rng)}",
        ref="https://a.example" + _in_path(text, hidden, rng),
    )


def _of_pixel_query(text: str, hidden: Hidden, rng: Random) -> Event:
    kept = {TOKEN: ("session", "t_token", "verify"), SHORT: ("t_token",)}
    name = rng.choice(kept.get(hidden.kind, ("page", "utm_source", "utm_term")))
    return _pixel(url=f"https://shop.example/?{name}={_query(text)}#{name}={text}")


def _of_pixel_texts(text: str, hidden: Hidden, rng: Random) -> Event:
    text = _announced(text, hidden, rng)
    # Ids are not searched for tokens, since tokens are what ids are made of.
    which = rng.choice(("e", "u", "a", "p__note", "id" if hidden.kind in (MAIL, IP) else "e"))
    return _pixel(**{which: text})


def _of_post(text: str, hidden: Hidden, rng: Random) -> Event:
    made = event(
        {
            "event": "login", "id": f"e{rng.getrandbits(40)}", "properties": _properties(text, hidden, rng),
            "title": text, "user_id": text[:200], "url": f"https://shop.example{_in_path(text, hidden, rng)}",
        },
        rng.choice((PUBLIC, SECRET)),
        Client("", AGENT),
    )  # fmt: skip
    return page_view() if isinstance(made, Rejection) else made


def _of_raw_event(text: str, hidden: Hidden, rng: Random) -> Event:
    """As a producer of Kafka's, or an edge of another version, may have written it."""
    text = _announced(text, hidden, rng)
    host = f"https://{text}/" if hidden.kind == IP and "%" not in text else "https://shop.example/"
    said = {
        "language": text, "currency": text, "referrer": host, "user_agent": f"{text}/1.0 (compatible; {text}; bot)",
        "visitor_id": text, "user_id": text, "session_id": text, "title": text, "screen": text, "timezone": text,
        "name": f"open {text}",
    }  # fmt: skip
    if hidden.kind == SHORT:  # nobody would know a part of it again
        del said["user_agent"]
    return page_view(
        **{name: said[name] for name in rng.sample(sorted(said), 4)}, ip=text if hidden.kind == IP else ""
    )


def _of_headers(text: str, hidden: Hidden, rng: Random) -> Event:
    header = rng.choice((X_FORWARDED_FOR, FORWARDED))
    value = f'for="{text}"' if header == FORWARDED else rng.choice((text, f'"{text}"', f"10.0.0.1, {text}"))
    return page_view(ip=client_ip("127.0.0.1", [(header, value.encode("utf-8"))], 1, header))


def _of_lines(text: str, hidden: Hidden, rng: Random) -> list[Event]:
    target = _in_path(text, hidden, rng).replace('"', "%22").replace(" ", "%20")
    client = text if hidden.kind == IP and " " not in text else "203.0.113.0"
    first = client if hidden.kind == IP else "shop.example"
    request = f'"GET {target} HTTP/1.1" 200 5'
    rest = f'- - [{_TIME}] {request} "https://from.example{target}" "{AGENT}"'
    nginx = {
        **NGINX,
        "remote_addr": client,
        "request": request[1:-7],
        "host": first,
        "time_iso8601": _JSON_TIME,
    }
    asked = {**CADDY["request"], "client_ip": client, "uri": target, "host": first}  # type: ignore[dict-item]
    stem = target.replace("?", "/").replace("%", "%25")
    line = rng.choice((
        f"{client} {rest}", f"{client} - - [{_TIME}] {request}", f"{first}, 198.51.100.0 {rest}",
        f"{first} 198.51.100.0 {rest}", f"{first}:443 198.51.100.0 {rest}",
        f"198.51.100.0 {rest}".replace("- -", f"- {quote(text)}"),
        json.dumps(nginx), json.dumps({**CADDY, "ts": NOW_MS / 1_000, "request": asked}),
        f"2025-05-17\t08:05:03\tFRA2\t512\t{client}\tGET\td1.cloudfront.net\t{stem}\t200\t-\t{quote(AGENT)}\t-\t-\tHit\t"
        f"SOX4xw==\t{first}\thttps\t23",
        f"h2 {_JSON_TIME} app/my-lb/50dc {client}:2817 10.0.0.66:9000 0.000 0.002 0.000 200 200 34 512 "
        f'"GET https://shop.example:443{target} HTTP/2.0" "{AGENT}" x TLSv1.2 arn:aws:tg/1 "-"',
    ))  # fmt: skip
    return read_lines([line])


def read_lines(lines: list[str]) -> list[Event]:
    """What an import would make of the lines; those nobody can read are set aside sealed, and make nothing."""
    encoded = [line.encode("utf-8", "surrogatepass") for line in lines]
    name = detect(encoded, NOW_MS)
    if name is None:
        return []
    read, ids = FORMATS[name]("demo", "shop.example", NOW_MS), LineIds(b"s" * 32)
    rows = [read(line, ids.next(line)) for line in encoded]
    return [Event(*row) for row in rows if row]


PLACES: Mapping[str, Place] = {
    "the path of a pixel's page": _of_pixel_path,
    "a parameter that is kept": _of_pixel_query,
    "a text of a pixel": _of_pixel_texts,
    "a posted event": _of_post,
    "an event of another program": _of_raw_event,
    "a line of a log": _of_lines,
    "a header": _of_headers,
}


def hide(secret: str, encoding: str, place: str, seed: int) -> tuple[Hidden, list[Event]]:
    """Events that hold a secret, each twice: the second copy is dropped and seen."""
    rng = Random(seed)
    hidden = SECRETS[secret](rng)
    text = ENCODINGS[encoding](hidden.text, rng)
    if hidden.kind == IP and place == "a header" and encoding != "plain":
        text = hidden.text  # no proxy of ours encodes an address
    made = PLACES[place](text, hidden, rng)
    consent = rng.choice(("consent=all", "", "consent=measurement"))
    events = [
        Event(**{**_fields(one), "consent": consent, "event_id": one.event_id or f"e{seed}"})
        for one in (made if isinstance(made, list) else [made])
    ]
    copies = [Event(**{**_fields(one), "source": "server", "trust": "secret"}) for one in events]
    return hidden, [*events, *copies]


def _fields(one: Event) -> dict[str, object]:
    return {name: getattr(one, name) for name in EVENT_FIELDS}


# --- whether it is found again ----------------------------------------------------------------------------------------


def _plain(text: str) -> str:
    """As it reads, whoever reads it: seven layers of escapes off, NFKC, without what nobody sees, in small letters."""
    for _ in range(7):
        before = text
        text = unquote(
            re.sub(r"%u([0-9A-Fa-f]{4})|\\u([0-9A-Fa-f]{4})|\\x([0-9A-Fa-f]{2})", _character, text)
        )
        text = unescape(text) if "&" in text else text
        if text == before:
            break
    text = normalize("NFKC", text)
    return "".join(one for one in text if category(one) != "Cf").lower()


def _character(found: re.Match[str]) -> str:
    return chr(int(next(filter(None, found.groups())), 16))


def found_again(hidden: Hidden, text: str) -> bool:
    """Whether somebody who reads a text finds what was hidden."""
    plain = _plain(text)
    return any(re.search(trace, plain) for trace in hidden.traces)
