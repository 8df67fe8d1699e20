"""The endpoints of mails on a real edge: the GIF whatever happens, a redirect to declared places alone."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from ingest.mail.links import CLICK, OPEN, MailLink, encode_link, link_key
from tests.ingest.edges import Edge, StartEdge, ends
from tests.ingest.mail.sendgrid import OPENED as SENDGRID_OPENED
from tests.ingest.mail.sendgrid import PRIVATE_KEY, PUBLIC_KEY
from tests.processes import free_port

KEY = link_key(bytes.fromhex("ab" * 32))
CONFIG = f'[sites.demo]\nclick_hosts = ["shop.example"]\nsendgrid_public_key = "{PUBLIC_KEY}"\n'
FIREFOX = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"}
TARGET = "https://anywhere.example/sale?a=1"


@pytest.fixture(scope="module")
def edge(start_edge: StartEdge) -> Edge:
    return start_edge(sites=CONFIG)


def refused(edge: Edge, reason: str) -> int:
    """How many the edge refused for this reason since its start."""
    begin = f'fairpixel_ingest_refused_total{{reason="{reason}"}} '
    lines = edge.get("/metrics")[1].decode().splitlines()
    return sum(int(float(line.removeprefix(begin))) for line in lines if line.startswith(begin))


def token(kind: str, recipient: str, target: str = "", site: str = "demo") -> str:
    sent_at = (int(time.time()) - 3_600) * 1000
    return encode_link(MailLink(kind, site, "spring-sale", recipient, sent_at, "all", target), KEY)


def test_an_open_is_in_the_topic_when_the_pixel_is_answered(edge: Edge) -> None:
    start, link = ends(edge.bootstrap), token(OPEN, "edge-1")  # one link: its second of sending is in its id
    for slash in ("", "/"):
        status, body, headers = edge.get(f"/o/{link}.gif{slash}", **FIREFOX)
        assert (status, len(body), headers["content-type"]) == (200, 43, "image/gif")
        assert "no-store" in headers["cache-control"]
    events = edge.events(start)
    assert [event.user_id for event in events] == ["edge-1", "edge-1"]
    first, second = events
    assert replace(first, received_at=0) == replace(second, received_at=0)
    assert (first.name, first.user_id, first.ip, first.user_agent) == ("mail_open", "edge-1", "", "")
    assert json.loads(first.properties)["verdict"] == "human"


def test_a_click_is_in_the_topic_when_its_person_is_sent_on(edge: Edge) -> None:
    start = ends(edge.bootstrap)
    status, body, headers = edge.get(f"/c/{token(CLICK, 'edge-2', TARGET)}", **FIREFOX)
    assert (status, body, headers["location"]) == (302, b"", TARGET)
    status, _, headers = edge.get(
        f"/c/{token(CLICK, 'edge-2')}?u=https%3A%2F%2Fshop.example%2F%3Fb%3D2", **FIREFOX
    )
    assert (status, headers["location"]) == (302, "https://shop.example/?b=2")
    assert {(event.name, event.url) for event in edge.events(start)} == {
        ("mail_click", TARGET), ("mail_click", "https://shop.example/?b=2"),
    }  # fmt: skip


@pytest.mark.parametrize(
    "query",
    [
        "", "?u=https://evil.example", "?u=//evil.example", "?u=javascript:alert(1)", "?u=https:%5C%5Cevil.example",
        "?u=https://shop.example%0d%0aSet-Cookie:a=b", "?u=https://shop.example&u=https://shop.example", "?u=%ff",
    ],
)  # fmt: skip
def test_no_link_leads_to_a_place_nobody_declared(edge: Edge, query: str) -> None:
    status, body, headers = edge.get(f"/c/{token(CLICK, 'edge-3')}{query}")
    assert (status, headers["x-fairpixel-code"], "location" in headers) == (400, "target_refused", False)
    assert b"evil" not in body


def test_a_forged_or_damaged_link_is_refused_and_counted(edge: Edge) -> None:
    before = refused(edge, "bad_signature")
    good = token(OPEN, "edge-4")
    forged = encode_link(MailLink(OPEN, "demo", "m", "r", 1_000), link_key(b"\x00" * 32))
    paths = [f"/o/{damaged}.gif" for damaged in ("x", forged, good[:-3], token(OPEN, "edge-4", site="gone"))]
    paths += [f"/o/{token(CLICK, 'edge-4', TARGET)}.gif"]
    for path in paths:
        status, body, headers = edge.get(path)
        assert (status, len(body), headers["x-fairpixel-code"]) == (400, 43, "damaged_link")
    for path in (f"/c/{good}", f"/c/{forged}?u=https://shop.example", "/c/x"):
        status, body, headers = edge.get(path)
        assert (status, headers["x-fairpixel-code"]) == (400, "damaged_link")
        assert b"Go back to the mail" in body
    assert refused(edge, "bad_signature") == before + len(paths) + 3


def test_a_look_by_head_makes_no_event_and_marks_what_follows(edge: Edge) -> None:
    start = ends(edge.bootstrap)
    path = f"/c/{token(CLICK, 'edge-5', TARGET)}"
    status, _, headers = edge.request("HEAD", path, headers=FIREFOX)
    assert (status, headers["location"]) == (302, TARGET)
    assert edge.request("HEAD", f"/o/{token(OPEN, 'edge-6')}.gif")[0] == 200
    assert edge.request("OPTIONS", path)[0] == 204
    assert edge.request("POST", path)[0] == 405
    assert edge.get(path, **FIREFOX)[0] == 302
    (event,) = edge.events(start)
    assert json.loads(event.properties) == {
        "message": "spring-sale", "verdict": "scanner", "reason": "head_request",
    }  # fmt: skip


def test_without_any_room_a_person_still_gets_to_the_page(tmp_path: Path) -> None:
    env = {"FAIRPIXEL_INGEST_WAITING_EVENTS_MAX": "0"}
    with Edge(tmp_path, f"127.0.0.1:{free_port()}", env, sites=CONFIG) as edge:
        status, _, headers = edge.get(f"/c/{token(CLICK, 'edge-7', TARGET)}", **FIREFOX)
        assert (status, headers["location"]) == (302, TARGET)
        assert refused(edge, "click_lost") == 1
        status, body, headers = edge.get(f"/o/{token(OPEN, 'edge-7')}.gif", **FIREFOX)
        assert (status, len(body), headers["retry-after"]) == (503, 43, "5")


def test_a_webhook_s_events_are_in_the_topic_when_it_is_answered(edge: Edge) -> None:
    start = ends(edge.bootstrap)
    timestamp = str(int(time.time())).encode()
    body = json.dumps([SENDGRID_OPENED | {"timestamp": int(timestamp) - 5}, {"event": "open"}]).encode()
    headers = {
        "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(
            PRIVATE_KEY.sign(timestamp + body, ec.ECDSA(SHA256()))
        ).decode(),
        "X-Twilio-Email-Event-Webhook-Timestamp": timestamp.decode(),
        "Content-Type": "application/json",
    }
    status, answer, _ = edge.request("POST", "/v1/mail/sendgrid?k=demo", body, headers)
    assert (status, json.loads(answer)["accepted"]) == (200, 1)
    (event,) = edge.events(start)
    assert (event.event_id, event.ip, event.user_agent) == ("sg-1", "", "")
    for service in ("sendgrid", "mailchimp", "mandrill"):
        assert edge.get(f"/v1/mail/{service}")[0] == 200
        assert edge.request("HEAD", f"/v1/mail/{service}/")[0] == 200
    assert edge.request("POST", "/v1/mail/sendgrid?k=demo", body + b" ", headers)[0] == 401
