"""nginx ingestion: what nginx answers, and that its log holds no more than it may."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.commands._nginx import render_nginx
from ingest.logs.follow_program import reopen_nginx
from ingest.logs.formats.pixel_queue import PixelQueueFormat
from ingest.reading.sites import PUBLIC, Credential
from ingest.serving.answers import GIF_HEADERS
from runtime.errors import UserError
from schemas.event import Event
from streams.steps.ip import truncate_ip
from tests.ingest.builders import NOW_MS
from tests.nginx_edge import NginxEdge
from tests.processes import await_that

PEER = "set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP;"  # so that a test can come from anywhere


@pytest.fixture(scope="module")
def edge(nginx: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NginxEdge]:
    one = NginxEdge(nginx, tmp_path_factory.mktemp("nginx"), ["demo", "other.key-1"], before=PEER)
    one.start()
    yield one
    one.stop()


def hit(edge: NginxEdge, query: str, headers: dict[str, str] | None = None) -> tuple[dict[str, Any], str]:
    """The line one hit leaves, decoded and as text."""
    before = edge.queue.read_bytes()
    assert edge.request(f"/p.gif?{query}", headers)[0] == 200
    await_that(lambda: edge.queue.stat().st_size > len(before), 5, "the line is written")
    line = edge.queue.read_bytes()[len(before) :]
    assert line.count(b"\n") == 1
    return json.loads(line), line.decode()


def event(edge: NginxEdge, query: str, headers: dict[str, str] | None = None) -> Event:
    """The event that follows from one hit."""
    line = hit(edge, query, headers)[1].rstrip("\n").encode()
    credential = Credential("demo", PUBLIC)
    row = PixelQueueFormat({"demo": credential, "other.key-1": credential}.get, 2**43)(line, "id")
    assert row
    return Event(*row)


def test_the_answer_is_the_pixel_with_the_headers_of_our_own(edge: NginxEdge) -> None:
    status, head = edge.request("/p.gif?k=demo")
    assert status == 200
    for name, value in GIF_HEADERS:
        assert f"{name.decode()}: {value.decode()}".lower() in head.lower()
    assert "last-modified" not in head.lower()
    assert edge.request("/p.gif?k=demo", {"If-Modified-Since": "Mon, 28 Sep 1970 06:00:00 GMT"})[0] == 200


@pytest.mark.parametrize(
    "target", ["/p.gif", "/p.gif?", "/p.gif?k=unknown", "/p.gif?k=demo2", "/p.gif?kk=demo"]
)
def test_an_unknown_key_is_told_so_and_leaves_no_line(edge: NginxEdge, target: str) -> None:
    before = edge.queue.stat().st_size if edge.queue.exists() else 0
    status, head = edge.request(target)
    assert (status, "unknown_key" in head) == (401, True)
    assert edge.request("/anything")[0] == 404
    hit(edge, "k=demo")
    assert edge.queue.read_bytes()[before:].count(b"\n") == 1


@pytest.mark.parametrize("query", ["v=much", "cur=euros", "ts=now", "e=anna%40mail.example", "e=a%22%0"])
def test_what_can_never_be_an_event_is_refused_and_leaves_no_line(edge: NginxEdge, query: str) -> None:
    before = edge.queue.stat().st_size if edge.queue.exists() else 0
    status, head = edge.request(f"/p.gif?k=demo&{query}&x=1")
    assert (status, "invalid_field" in head) == (400, True)
    hit(edge, "k=demo&v=&cur=&ts=&e=")
    assert edge.queue.read_bytes()[before:].count(b"\n") == 1


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.77", "203.0.113"),
        ("8.8.8.8", "8.8.8"),
        ("::ffff:203.0.113.77", "203.0.113"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1"),
        ("2001:db8:1::6", "2001:db8:1"),
        ("2001:db8::6", "2001:db8"),
        ("2001::6", "2001"),
        ("2001:0:0:4:5:6:7:8", "2001"),
        ("2001:db8:0:4:5:6:7:8", "2001:db8:0"),
        ("::1", ""),
        ("::5:6", ""),
        ("2002:cb00:714d::1", ""),
        ("2001:0:4136:e378:8000:63bf:34ff:8ef8", "2001:0:4136"),
    ],
)
def test_of_an_address_only_the_network_is_logged(edge: NginxEdge, address: str, network: str) -> None:
    found, _ = hit(edge, "k=demo", {"X-Real-IP": address})
    assert found["n"] == network
    ip = event(edge, "k=demo", {"X-Real-IP": address}).ip
    assert truncate_ip(ip) == (truncate_ip(address) if network else "")


def test_identifiers_and_all_that_is_not_listed_never_reach_the_log(edge: NginxEdge) -> None:
    query = (
        "k=demo&a=visitor-SECRET&u=user-SECRET&visitor_id=SECRET&p.mail=SECRET&id=SECRET%40mail.example&sid=SECRET"
        "&url=https%3A%2F%2Fshop.example%2Fa%3Ftoken%3DSECRET%23SECRET&ref=https%3A%2F%2Ffrom.example%2FSECRET%3Fq%3DSECRET"
        "&e=buy%22now&SECRET=1&SECRET"
    )
    headers = {
        "Cookie": "fp=SECRET", "Authorization": "Bearer SECRET", "Referer": "https://shop.example/x?mail=SECRET",
        "X-Forwarded-For": "203.0.113.99", "X-Real-IP": "203.0.113.77",
    }  # fmt: skip
    found, text = hit(edge, query, headers)
    assert "SECRET" not in text
    assert "203.0.113.77" not in text
    assert "203.0.113.99" not in text
    assert found["q"].startswith("k=demo&e=buy%22now&id=&")
    assert "url=https%3A%2F%2Fshop.example%2Fa&" in found["q"]
    assert "ref=https%3A%2F%2Ffrom.example&" in found["q"]


@pytest.mark.parametrize(
    ("query", "headers", "url"),
    [
        ("url=https://shop.example/a/b%20c?x=1", {}, "https://shop.example/a/b c"),
        ("url=https%3A%2F%2Fshop.example", {}, "https://shop.example"),
        ("url=https%3A%2F%2Fshop.example%3Fx", {}, "https://shop.example"),
        ("url=http%3a%2f%2fshop.example%3a8080%2fa", {}, "http://shop.example:8080/a"),
        ("url=https%3A%2F%2Fanna%40shop.example%2Fa", {}, ""),
        ("url=https%3A%2F%2Fanna:pw@shop.example%2Fa", {}, ""),
        ("url=https%3A%2F%2Fshop.example%2Fanna%40mail.example", {}, ""),
        ("url=javascript:alert(1)", {}, ""),
        ("url=https://shop.example/a%4&a=SECRET", {}, ""),
        ("url=https://shop.example/a%&a=SECRET", {}, ""),
        ("url=https://shop.example/a%2&a=SECRET", {}, ""),
        ("", {"Referer": "https://shop.example/a?x=1"}, "https://shop.example/a"),
        ("", {"Referer": "https://shop.example/anna@mail.example"}, ""),
        ("", {}, ""),
    ],
)
def test_of_a_page_host_and_path_are_logged_and_nothing_that_looks_like_a_name(
    edge: NginxEdge, query: str, headers: dict[str, str], url: str
) -> None:
    assert event(edge, f"k=demo&{query}", headers).url == url


def test_what_is_listed_arrives_in_any_order_and_of_two_with_one_name_the_last(edge: NginxEdge) -> None:
    found = event(
        edge,
        "consent=measurement,marketing&v=19.90&cur=EUR&e=purchase&gpp=DBA&gpp_sid=7&us_privacy=1YNN&gcs=G100&gcd=11&gdpr=1"
        "&gdpr_consent=CP&categories=a&ts=1431849903000&id=first&id=order_1.2-3&x=&k=other.key-1",
        {"Sec-GPC": "1", "DNT": "1", "User-Agent": 'odd "agent" \\ \x01'},
    )
    assert (found.name, found.event_id, found.value_e4, found.currency) == (
        "purchase",
        "order_1.2-3",
        199_000,
        "EUR",
    )
    assert found.occurred_at == 1_431_849_903_000
    assert found.consent == (
        "consent=measurement%2Cmarketing&gdpr=1&gdpr_consent=CP&gpp=DBA&gpp_sid=7&us_privacy=1YNN&gcs=G100&gcd=11"
        "&categories=a"
    )
    assert found.flags == 3
    assert found.received_at > NOW_MS
    assert '"agent"' in found.user_agent


def test_a_long_query_is_walked_to_its_end(edge: NginxEdge) -> None:
    assert event(edge, "&".join(f"x{n}={n}" for n in range(900)) + "&k=demo&e=late").name == "late"


def test_scanners_that_only_look_are_no_hits(edge: NginxEdge) -> None:
    before = edge.queue.stat().st_size
    assert edge.request("/p.gif?k=demo", method="HEAD")[0] == 200
    await_that(lambda: edge.queue.stat().st_size > before, 5, "the line is written")
    line = edge.queue.read_bytes()[before:].rstrip(b"\n")
    assert PixelQueueFormat({"demo": Credential("demo", PUBLIC)}.get, 2**43)(line, "id") == ()


def test_a_configuration_nginx_would_read_otherwise_is_refused(tmp_path: Path) -> None:
    queue = tmp_path / "pixel.log"
    for keys, path, listen in (
        ([], queue, "8088"), (['a"b'], queue, "8088"), (["a"], tmp_path / "a b;", "8088"), (["a"], queue, "8088; x"),
    ):  # fmt: skip
        with pytest.raises(UserError):
            render_nginx(keys, path, listen)


def test_a_pid_file_of_a_program_that_is_no_nginx_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "pid").write_text("1")
    reopen_nginx(tmp_path / "pid")
    reopen_nginx(tmp_path / "none")
