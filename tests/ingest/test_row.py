"""Rows: whoever builds one puts each value where its name is, as the decoded pack shows."""

from __future__ import annotations

import ast
import hmac
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast, get_args
from urllib.parse import quote

import orjson
import pytest

from ingest.direct.endpoint import Dead, read_direct
from ingest.direct.inbox import DirectMessage
from ingest.endpoints.beacon import BeaconEndpoint
from ingest.endpoints.choices import ChoiceEndpoint
from ingest.endpoints.page import PageEndpoint, PageRequest
from ingest.logs.access_log import LineReader
from ingest.logs.formats import FORMATS
from ingest.logs.formats.pixel_queue import PixelQueueFormat
from ingest.mail.links import CLICK, MailLink
from ingest.mail.opens import Judgement, MailRules, Verdict, make_mail_row
from ingest.mail.webhooks import read_mailchimp
from ingest.packing.pack import close_pack
from ingest.protocols.mapping import make_row
from ingest.protocols.protocol import Ask
from ingest.reading import row as places
from ingest.reading.client import Client
from ingest.reading.cloudevents import convert
from ingest.reading.heavy import Heavy, Turn
from ingest.reading.parse import Parsed, parse_event
from ingest.reading.pixel import parse_pixel, parse_query
from ingest.reading.row import ReplacedText, Row, build_row, with_text
from ingest.reading.sites import Credential, Sites
from ingest.visitors.cookies import Visit, derive_visitor, set_cookie
from ingest.visitors.rules import resolve_visitor, visitor_rules
from runtime.config import parse_config
from schemas.consent import Purpose
from schemas.event import EVENT_FIELDS, Event, Flag
from schemas.links import Origin
from tests.ingest.builders import KEY, NOW_MS, open_pack, run
from tests.ingest.stage import CONFIG, Stage

INGEST = Path(__file__).parents[2] / "ingest"
OCCURRED_MS, SENT_MS = NOW_MS - 60_000, NOW_MS - 2_000
PUBLIC, SECRET = Credential("demo", "public"), Credential("demo", "secret")
CLIENT = Client("203.0.113.9", "Firefox", "de-AT", "https://shop.example/page", int(Flag.DNT))
VISIT = Visit(
    "0123456789abcdef" * 2, NOW_MS // 1000, NOW_MS // 1000, (Purpose.NECESSARY, Purpose.MEASUREMENT)
)

# An event with a value of its own in each field, as a backend says it of a person.
SAID: dict[str, Any] = {
    "event": "page_view", "id": "id-1", "ts": OCCURRED_MS, "sent_at": SENT_MS, "visitor_id": "v-1", "user_id": "u-1",
    "session_id": "s-1", "url": "https://shop.example/a", "referrer": "https://from.example/", "title": "A title",
    "value": "12.34", "currency": "eur", "consent": "all", "properties": {"plan": "gold"},
    "context": {
        "ip": "198.51.100.7", "user_agent": "Person's agent", "language": "en-GB", "screen": "1920x1080",
        "viewport": "800x600", "timezone": "Europe/Vienna", "gpc": True,
    },
}  # fmt: skip
EVENT = Event(
    event_id="id-1",
    site="demo",
    name="page_view",
    kind="page",
    source="server",
    protocol="native",
    trust="secret",
    occurred_at=OCCURRED_MS,
    sent_at=SENT_MS,
    received_at=NOW_MS,
    ip="198.51.100.7",
    user_agent="Person's agent",
    language="en-GB",
    url="https://shop.example/a",
    referrer="https://from.example/",
    title="A title",
    visitor_id="v-1",
    user_id="u-1",
    session_id="s-1",
    consent="consent=all",
    flags=int(Flag.GPC),
    screen="1920x1080",
    viewport="800x600",
    timezone="Europe/Vienna",
    value_e4=123_400,
    currency="EUR",
    properties='{"plan":"gold"}',
)
IN_A_BROWSER = {name: payload for name, payload in SAID.items() if name != "context"} | {
    "context": {"screen": "1920x1080", "viewport": "800x600", "timezone": "Europe/Vienna"}
}
OF_A_BROWSER = replace(
    EVENT,
    source="tag",
    trust="public",
    ip=CLIENT.ip,
    user_agent=CLIENT.user_agent,
    language=CLIENT.language,
    flags=int(Flag.DNT),
)


def of_json() -> tuple[Row, Event]:
    return parsed(SAID, SECRET), replace(EVENT, flags=int(Flag.GPC | Flag.DNT))


def of_json_in_a_browser() -> tuple[Row, Event]:
    return parsed(IN_A_BROWSER, PUBLIC), OF_A_BROWSER


def of_cloudevent() -> tuple[Row, Event]:
    item = convert({
        "specversion": "1.0", "id": "1", "source": "/a", "type": "page_view", "time": "2025-11-22T08:25:40Z",
        "visitorid": "v-1", "userid": "u-1", "sessionid": "s-1", "url": "https://shop.example/a",
        "referrer": "https://from.example/", "title": "A title", "value": "12.34", "currency": "eur", "consent": "all",
        "clientip": "198.51.100.7", "useragent": "Person's agent", "data": {"plan": "gold"},
    })  # fmt: skip
    said_less = replace(
        EVENT, language="", flags=int(Flag.DNT), screen="", viewport="", timezone="", sent_at=0
    )
    return parsed(item, SECRET), replace(said_less, event_id="/a|1")


def of_direct_message() -> tuple[Row, Event]:
    sites = Sites.of(parse_config("[sites.demo]\n"), {})
    message = DirectMessage(Origin("topic", 0, 7), NOW_MS, json.dumps({"site": "demo", **SAID}).encode())
    row = read_direct(message, sites, NOW_MS + 1)
    assert not isinstance(row, Dead)
    return row, replace(EVENT, source="direct")


PIXEL = (
    f"k=demo&id=id-1&ts={OCCURRED_MS}&a=v-1&u=u-1&url=https://shop.example/a&ref=https://from.example/&consent=all"
    "&v=12.34&cur=eur&p.plan=gold"
)
OF_A_PIXEL = replace(
    OF_A_BROWSER, source="pixel", sent_at=0, title="", session_id="", screen="", viewport="", timezone=""
)


def of_pixel() -> tuple[Row, Event]:
    row = parse_pixel(parse_query(PIXEL.encode()), PUBLIC, CLIENT, NOW_MS, "made")
    return cast(Row, row), OF_A_PIXEL


def of_pixel_in_a_log() -> tuple[Row, Event]:
    record = {
        "t": NOW_MS / 1000,
        "s": 200,
        "m": "GET",
        "n": "203.0.113",
        "a": "Firefox",
        "d": "1",
        "q": PIXEL,
    }
    row = PixelQueueFormat({"demo": PUBLIC}.get, NOW_MS)(json.dumps(record).encode(), "made")
    return cast(Row, row), replace(OF_A_PIXEL, ip="203.0.113.0", language="")


def of_pixel_with_a_cookie() -> tuple[Row, Event]:
    rules = visitor_rules(CONFIG, b"x" * 32)["demo"]
    cookie = set_cookie("demo", VISIT, rules.cookie_key, NOW_MS // 1000).partition(b";")[0]
    params = parse_query(PIXEL.replace("&a=v-1", "").encode())
    row, _ = resolve_visitor(
        rules, cast(Row, parse_pixel(params, PUBLIC, CLIENT, NOW_MS, "made")), cookie, NOW_MS
    )
    return row, replace(OF_A_PIXEL, visitor_id=VISIT.visitor)


def of_beacon() -> tuple[Row, Event]:
    unnamed = {
        name: payload for name, payload in IN_A_BROWSER.items() if name not in ("visitor_id", "sent_at")
    }
    payload = {"page": "chance", "sent_at": SENT_MS, "common": {"title": "A title"}, "events": [unnamed]}
    row, visitor = taken_by(BeaconEndpoint, payload, seed="chance")
    return row, replace(OF_A_BROWSER, visitor_id=visitor)


def of_choice() -> tuple[Row, Event]:
    payload = {"text_version": "7"} | {
        name: SAID[name] for name in ("id", "ts", "sent_at", "url", "user_id", "consent")
    }
    row, visitor = taken_by(ChoiceEndpoint, payload, seed="id-1")
    return row, Event(
        event_id="id-1",
        site="demo",
        name="consent_choice",
        kind="system",
        source="tag",
        protocol="native",
        trust="public",
        occurred_at=OCCURRED_MS,
        sent_at=SENT_MS,
        received_at=NOW_MS,
        ip=CLIENT.ip,
        user_agent=CLIENT.user_agent,
        language=CLIENT.language,
        url="https://shop.example/a",
        visitor_id=visitor,
        user_id="u-1",
        consent="consent=all",
        flags=int(Flag.DNT),
        properties='{"purposes":"necessary,measurement,personalisation,marketing","decided":"choice_grants",'
        '"signals":"consent","text_version":"7"}',
    )


def of_protocol() -> tuple[Row, Event]:
    row = make_row(
        ask(),
        SECRET,
        protocol="segment",
        source="server",
        name="page_view",
        event_id="id-1",
        occurred_at=OCCURRED_MS,
        sent_at=SENT_MS,
        ip="198.51.100.7",
        user_agent="Person's agent",
        language="en-GB",
        url="https://shop.example/a",
        referrer="https://from.example/",
        title="A title",
        visitor_id="v-1",
        user_id="u-1",
        session_id="s-1",
        signals="consent=all",
        flags=int(Flag.GPC),
        screen="1920x1080",
        viewport="800x600",
        timezone="Europe/Vienna",
        value="12.34",
        currency="eur",
        properties={"plan": "gold"},
    )
    return row, replace(EVENT, protocol="segment")


def of_protocol_in_a_browser() -> tuple[Row, Event]:
    row = make_row(
        ask(), PUBLIC, protocol="plausible", source="pixel", name="page_view", event_id="id-1", kind="custom"
    )
    client = {
        name: getattr(OF_A_BROWSER, name)
        for name in ("event_id", "site", "name", "ip", "user_agent", "language", "flags", "received_at")
    }
    return row, Event(**client, kind="custom", source="pixel", protocol="plausible", trust="public")


def of_mail() -> tuple[Row, Event]:
    link = MailLink(CLICK, "demo", "spring", "r-1", NOW_MS - 60_000, "all", "https://shop.example/a")
    judgement = Judgement(Verdict.SCANNER, "burst")
    row = make_mail_row(link, link.target, judgement, "public", int(Flag.GPC), b"key", NOW_MS)
    found = Event(
        event_id=row[places.EVENT_ID],
        site="demo",
        name="mail_click",
        kind="mail",
        source="email",
        protocol="native",
        trust="public",
        received_at=NOW_MS,
        url="https://shop.example/a",
        user_id="r-1",
        consent="consent=all",
        flags=int(Flag.GPC | Flag.MAIL_SCANNER),
        properties='{"message":"spring","verdict":"scanner","reason":"burst"}',
    )
    assert len(found.event_id) == 32
    return row, found


def of_webhook() -> tuple[Row, Event]:
    form = {"type": "unsubscribe", "fired_at": "2025-11-22 08:25:40", "data[web_id]": "5", "data[id]": "c"}
    payload = "&".join(f"{quote(name)}={quote(text)}" for name, text in form.items())
    asked = replace(ask(), query=b"secret=mine", body=payload.encode())
    ((_, row),) = read_mailchimp(asked, "demo", MailRules(mailchimp_secret="mine")).rows
    return row, Event(
        event_id=hmac.digest(b"mine", orjson.dumps(sorted(form.items())), "sha256")[:16].hex(),
        site="demo",
        name="mail_unsubscribe",
        kind="mail",
        source="email",
        protocol="mailchimp",
        trust="secret",
        occurred_at=OCCURRED_MS,
        received_at=NOW_MS,
        user_id="5",
        properties="",
    )


REQUEST = Event(
    event_id="line-1",
    site="demo",
    name="request",
    kind="page",
    source="log",
    trust="secret",
    occurred_at=OCCURRED_MS,
    received_at=NOW_MS,
    ip="198.51.100.7",
    user_agent="Firefox",
    url="https://shop.example/a",
    referrer="https://from.example/",
    user_id="anna",
    properties='{"status":200,"bytes":512,"method":"GET"}',
)
_COMMON = '198.51.100.7 - anna [22/Nov/2025:08:25:40 +0000] "GET /a HTTP/1.1" 200 512'
_TIME = "2025-11-22T08:25:40Z"
LINES: dict[str, tuple[str, dict[str, Any]]] = {  # a line of each format, and what it says otherwise
    "combined": (f'{_COMMON} "https://from.example/" "Firefox"', {}),
    "vhost_combined": (f'shop.example:443 {_COMMON} "https://from.example/" "Firefox"', {}),
    "common": (_COMMON, {"user_agent": "", "referrer": ""}),
    "nginx-json": (
        json.dumps({
            "time": _TIME, "remote_addr": "198.51.100.7", "remote_user": "anna", "request": "GET /a HTTP/1.1",
            "status": "200", "size": "512", "host": "shop.example", "referrer": "https://from.example/",
            "agent": "Firefox",
        }),
        {},
    ),
    "caddy": (
        json.dumps({
            "ts": OCCURRED_MS / 1000, "logger": "http.log.access", "user_id": "anna", "size": 512, "status": 200,
            "request": {
                "client_ip": "198.51.100.7", "method": "GET", "host": "shop.example", "uri": "/a", "tls": {},
                "headers": {
                    "User-Agent": ["Firefox"], "Referer": ["https://from.example/"], "Accept-Language": ["de-AT"],
                    "Dnt": ["1"],
                },
            },
        }),
        {"language": "de-AT", "flags": int(Flag.DNT)},
    ),
    "cloudfront": (
        "2025-11-22\t08:25:40\tFRA\t512\t198.51.100.7\tGET\td1.example\t/a\t200\thttps://from.example/\tFirefox\t-\t-"
        "\tHit\tid\tshop.example\thttps",
        {"user_id": ""},
    ),
    "alb": (
        f"h2 {_TIME} lb 198.51.100.7:1 10.0.0.1:1 0 0 0 200 200 34 512 "
        '"GET https://shop.example/a HTTP/2.0" "Firefox" -',
        {"user_id": "", "referrer": ""},
    ),
}  # fmt: skip


def of_line(name: str) -> tuple[Row, Event]:
    line, otherwise = LINES[name]
    reader: LineReader = FORMATS[name]("demo", "shop.example", NOW_MS)
    return cast(Row, reader(line.encode(), "line-1")), replace(REQUEST, protocol=name, **otherwise)


BUILDERS: dict[str, Callable[[], tuple[Row, Event]]] = {
    made.__name__.removeprefix("of_"): made
    for made in (
        of_json, of_json_in_a_browser, of_cloudevent, of_direct_message, of_pixel, of_pixel_in_a_log,
        of_pixel_with_a_cookie, of_beacon, of_choice, of_protocol, of_protocol_in_a_browser, of_mail, of_webhook,
    )
} | {f"line_of_{name}": (lambda name=name: of_line(name)) for name in FORMATS}  # type: ignore[misc]  # fmt: skip

# Who builds or changes rows: module and function. Each of them is run by one of the builders above.
CALLERS = {
    "reading/parse.py:_parse",
    "reading/pixel.py:parse_pixel",
    "protocols/mapping.py:make_row",
    "logs/access_log.py:request_row",
    "logs/access_log.py:CombinedFormat.__call__",
    "logs/access_log.py:VhostFormat.__call__",
    "mail/opens.py:make_mail_row",
    "direct/endpoint.py:read_direct",
    "endpoints/choices.py:ChoiceEndpoint._row",
    "visitors/rules.py:name_visitor",
}


def parsed(item: object, credential: Credential) -> Row:
    found = parse_event(item, credential, CLIENT, NOW_MS, 0, "made")
    assert isinstance(found, Parsed), found
    return found.row


def ask() -> Ask:
    return Ask("POST", "/", b"", {}, b"", CLIENT, NOW_MS, Sites({}, {}), lambda: "made")


def taken_by(
    kind: type[BeaconEndpoint | ChoiceEndpoint], payload: dict[str, Any], seed: str
) -> tuple[Row, str]:
    """The row that a page's endpoint keeps of a request, and the visitor it makes of this seed."""
    rows: list[Row] = []
    rules = visitor_rules(CONFIG, b"x" * 32)["demo"]

    async def journey() -> None:
        stage = Stage()
        endpoint: PageEndpoint = kind(stage.intake, cast(Any, SimpleNamespace()))
        turn = Turn(Heavy(), "")
        request = PageRequest(PUBLIC, rules, CLIENT, None, b"", payload, NOW_MS, turn, patient=False)
        taking = stage.connection.loop.create_task(endpoint.take(request))
        while not taking.done():
            stage.packer.flush()
            stage.sent.settle_all()
            await stage.connection.loop.run_in_executor(None, lambda: None)
        taking.result()
        rows.extend(stage.rows)

    run(journey)
    (row,) = rows
    return row, derive_visitor(rules.secret, seed)


@pytest.mark.parametrize("builder", BUILDERS)
def test_each_value_of_a_row_arrives_under_its_name_in_the_pack(builder: str) -> None:
    row, expected = BUILDERS[builder]()
    payload = [value for value in asdict(expected).values() if value]
    assert len(set(payload)) == len(payload), "two fields of one value could change places unseen"
    pack = close_pack("edge-1", 0, [row], [], KEY, b"p" * 16, b"n" * 12)
    assert open_pack(pack.message).batch.to_events() == [expected]


def test_every_field_is_filled_by_some_builder() -> None:
    assert {name for name, value in asdict(EVENT).items() if value} == set(EVENT_FIELDS)


def test_a_row_holds_the_fields_of_an_event_with_their_types() -> None:
    types = [one.__name__ for one in get_args(Row)]
    assert types == [str(one.type) for one in fields(Event)]
    assert Event(*build_row(**asdict(EVENT))) == EVENT
    assert Event(*build_row(*asdict(EVENT).values())) == EVENT
    assert Event(*build_row("", "", "", "", "", "", "", 0, 0, 0)) == Event()


def test_a_place_is_that_of_its_field() -> None:
    found = {name.lower(): at for name, at in vars(places).items() if name.lower() in EVENT_FIELDS}
    assert {"event_id", "site", "name", "received_at", "visitor_id", "consent"} <= set(found)
    assert {name: EVENT_FIELDS[at] for name, at in found.items()} == {name: name for name in found}


@pytest.mark.parametrize("place", get_args(ReplacedText))
def test_a_replaced_text_leaves_all_others(place: ReplacedText) -> None:
    row = build_row(**asdict(EVENT))
    assert Event(*with_text(row, place, "new")) == replace(EVENT, **{EVENT_FIELDS[place]: "new"})  # type: ignore[arg-type]
    assert get_args(Row)[place] is str
    assert Event(*row) == EVENT


def test_every_builder_of_rows_is_run_here() -> None:
    found = {
        f"{path.relative_to(INGEST)}:{caller}"
        for path in INGEST.rglob("*.py")
        for caller in callers(ast.parse(path.read_text("utf-8")), ("build_row", "with_text"))
    }
    assert found == CALLERS


def test_no_other_module_knows_a_place_by_its_number() -> None:
    found = [
        f"{path.relative_to(INGEST)}:{node.lineno}"
        for path in INGEST.rglob("*.py")
        if path != INGEST / "reading" / "row.py"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if is_numbered(node)
    ]
    assert found == []


def is_numbered(node: ast.AST) -> bool:
    """Whether a row is taken apart or put together by numbers: `row[3]`, `row[:3]`, or all its values in a tuple."""
    if isinstance(node, ast.Tuple):
        return len(node.elts) == len(EVENT_FIELDS)
    if not isinstance(node, ast.Subscript):
        return False
    name = getattr(node.value, "id", getattr(node.value, "attr", ""))
    return name == "row" and (
        isinstance(node.slice, ast.Slice)
        or (isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, int))
    )


def callers(tree: ast.AST, called: tuple[str, ...], within: str = "") -> Iterator[str]:
    """The functions that call one of these, by their names with their class."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in called:
            yield within
        named = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        inner = f"{within}.{node.name}".lstrip(".") if named else within  # type: ignore[attr-defined]
        yield from callers(node, called, inner)
