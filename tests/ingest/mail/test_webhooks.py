"""Webhooks of mail services: only their own word is taken, each event has one row and no address."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st

from ingest.mail.opens import MailRules
from ingest.mail.webhooks import webhook_routes
from ingest.protocols.protocol import Ask, Reading
from ingest.reading.client import Client
from ingest.reading.sites import Sites
from runtime.config import parse_config
from schemas.event import Event
from tests.ingest.builders import BROWSER, NOW_MS
from tests.ingest.mail.sendgrid import OPENED, PERSON, PRIVATE_KEY, PUBLIC_KEY, SECONDS

MANDRILL_KEY, MAILCHIMP_SECRET = "mandrill-key", "mailchimp-secret"
RULES = {"demo": MailRules((), PUBLIC_KEY, MAILCHIMP_SECRET, MANDRILL_KEY), "other": MailRules()}
SITES = Sites.of(parse_config('[sites.demo]\npublic_keys = ["pk"]\n[sites.other]\n'), {})
ROUTES = {route.protocol: route for route in webhook_routes(lambda: RULES) if route.methods == ("POST",)}
NOT_IN_PAYLOAD = ("jane", "doe@", "203.0.113", "Firefox", "198.51.100")


def ask(
    service: str,
    body: bytes,
    query: str = "k=pk",
    headers: dict[bytes, bytes] | None = None,
    client: Client = BROWSER,
) -> Reading:
    """One request as the endpoint hands it over."""
    given = {b"host": b"events.shop.example", **(headers or {})}
    return ROUTES[service].read(
        Ask("POST", f"/v1/mail/{service}", query.encode(), given, body, client, NOW_MS, SITES, lambda: "made")
    )


def sendgrid(
    events: Any, seconds: int = SECONDS, query: str = "k=pk", signed_with: Any = PRIVATE_KEY
) -> Reading:
    body = events if isinstance(events, bytes) else json.dumps(events).encode()
    timestamp = str(seconds).encode()
    signature = base64.b64encode(signed_with.sign(timestamp + body, ec.ECDSA(SHA256())))
    headers = {
        b"x-twilio-email-event-webhook-signature": signature,
        b"x-twilio-email-event-webhook-timestamp": timestamp,
    }
    return ask("sendgrid", body, query, headers)


def mandrill(
    events: Any, url: str = "https://events.shop.example/v1/mail/mandrill?k=pk", key: str = MANDRILL_KEY
) -> Reading:
    payload = json.dumps(events)
    mac = hmac.digest(key.encode(), f"{url}mandrill_events{payload}".encode(), "sha1")
    body = urlencode({"mandrill_events": payload}).encode()
    return ask("mandrill", body, headers={b"x-mandrill-signature": base64.b64encode(mac)})


def mailchimp(form: dict[str, str], secret: str = MAILCHIMP_SECRET) -> Reading:
    return ask("mailchimp", urlencode(form).encode(), f"k=pk&secret={secret}")


def events_of(reading: Reading) -> list[Event]:
    return [Event(*row) for _, row in reading.rows]


BOUNCED = {
    "email": PERSON, "timestamp": SECONDS - 50, "event": "bounce", "sg_event_id": "sg-2", "type": "blocked",
    "status": "5.1.1", "reason": f"550 5.1.1 <{PERSON}> unknown", "smtp-id": f"<1.{PERSON}>", "ip": "198.51.100.7",
    "user_id": PERSON,
}  # fmt: skip


def test_sendgrid_s_events_become_rows_under_their_own_ids() -> None:
    reading = sendgrid([OPENED, BOUNCED])
    opened, bounced = events_of(reading)
    assert (reading.answer.status, json.loads(reading.answer.body)) == (200, {"accepted": 2, "rejected": []})
    assert (opened.event_id, opened.name, opened.kind, opened.source, opened.protocol, opened.trust) == (
        "sg-1", "mail_open", "mail", "email", "sendgrid", "secret",
    )  # fmt: skip
    assert (opened.site, opened.user_id, opened.consent) == ("demo", "r-81f3", "consent=all")
    assert opened.occurred_at == (SECONDS - 60) * 1000
    assert json.loads(opened.properties) == {
        "message": "spring-sale", "category": ["spring", "to "], "verdict": "human", "reason": "usual_agent",
    }  # fmt: skip
    assert (bounced.name, bounced.user_id, json.loads(bounced.properties)) == (
        "mail_bounce", "", {"type": "blocked", "status": "5.1.1"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"sg_machine_open": True}, "prefetch"),
        ({"sg_machine_open": False}, "human"),
        ({"useragent": "Mozilla/5.0 (via ggpht.com GoogleImageProxy)"}, "proxy_human"),
        ({"useragent": None}, "unknown"),
        ({"event": "click", "url": "https://shop.example/sale"}, "human"),
    ],
)
def test_an_open_by_webhook_has_a_verdict_too(change: dict[str, Any], verdict: str) -> None:
    (event,) = events_of(sendgrid([OPENED | change]))
    assert json.loads(event.properties)["verdict"] == verdict
    assert event.url == change.get("url", "")


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("processed", "mail_processed"), ("delivered", "mail_delivered"), ("deferred", "mail_deferred"),
        ("dropped", "mail_dropped"), ("spamreport", "mail_spam_report"), ("unsubscribe", "mail_unsubscribe"),
        ("group_unsubscribe", "mail_unsubscribe"), ("group_resubscribe", "mail_group_resubscribe"),
    ],
)  # fmt: skip
def test_each_word_of_sendgrid_has_a_name(word: str, name: str) -> None:
    (event,) = events_of(sendgrid([BOUNCED | {"event": word}]))
    assert event.name == name
    assert "verdict" not in event.properties


@pytest.mark.parametrize(
    "bad",
    [None, 7, [], {}, BOUNCED | {"sg_event_id": []}, BOUNCED | {"timestamp": "soon"}, BOUNCED | {"event": "<b>"},
     BOUNCED | {"timestamp": 1}, OPENED | {"useragent": 5}],
)  # fmt: skip
def test_a_bad_event_leaves_its_neighbours_alone(bad: object) -> None:
    reading = sendgrid([OPENED, bad, BOUNCED])
    assert [event.event_id for event in events_of(reading)] == ["sg-1", "sg-2"]
    answer = json.loads(reading.answer.body)
    assert (answer["accepted"], [one["index"] for one in answer["rejected"]]) == (2, [1])
    assert len(reading.refusals) == 1


def test_an_event_of_sendgrid_without_an_id_has_one_made_of_what_it_says() -> None:
    left = {name: value for name, value in BOUNCED.items() if name != "sg_event_id"} | {
        "event": "unsubscribe"
    }
    group = left | {"event": "group_unsubscribe", "asm_group_id": 12}
    first, second, empty = events_of(sendgrid([left, group, left | {"sg_event_id": ""}]))
    assert (first.name, second.name) == ("mail_unsubscribe", "mail_unsubscribe")
    assert len({first.event_id, second.event_id, empty.event_id}) == 3
    assert [event.event_id for event in events_of(sendgrid([group, left]))] == [
        second.event_id,
        first.event_id,
    ]
    assert PERSON not in json.dumps([*map(str, (first, second))])


@pytest.mark.parametrize("body", [b"", b"{}", b"[", b"null", b"\xff"])
def test_a_body_that_is_no_list_is_refused(body: bytes) -> None:
    reading = sendgrid(body)
    assert (reading.answer.status, reading.rows, len(reading.refusals)) == (400, [], 1)


def test_only_sendgrid_s_own_signature_is_taken() -> None:
    forged = sendgrid([OPENED], signed_with=ec.derive_private_key(4712, ec.SECP256R1()))
    unsigned = ask("sendgrid", json.dumps([OPENED]).encode())
    closed = sendgrid([OPENED], query="k=other")
    old = sendgrid([OPENED], seconds=SECONDS - 86_401)
    early = sendgrid([OPENED], seconds=SECONDS + 301)
    for reading in (forged, unsigned, closed, old, early):
        assert (reading.answer.status, reading.rows) == (401, [])
        assert reading.refusals[0][1].code == "signature_refused"
    late = sendgrid([OPENED], seconds=SECONDS - 86_000)
    assert len(late.rows) == 1, "SendGrid tries again for a day"


def test_a_webhook_names_its_site_by_key() -> None:
    for query in ("", "k=nobody", "k=%ff"):
        reading = sendgrid([OPENED], query=query)
        assert (reading.answer.status, reading.refusals[0][1].code) == (401, "unknown_key")


HARD_BOUNCE = {
    "event": "hard_bounce", "_id": "id2", "ts": SECONDS - 30,
    "msg": {"_id": "id2", "email": PERSON, "tags": ["receipts"], "diag": f"550 {PERSON}",
            "metadata": {"user_id": 111, "campaign": "spring"}},
}  # fmt: skip
CLICKED = {
    "event": "click", "_id": "id3", "ts": SECONDS - 20, "url": "https://shop.example/sale", "ip": "203.0.113.77",
    "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "msg": {"_id": "id3", "email": PERSON, "metadata": {"recipient": "r-81f3", "consent": "none"}},
}  # fmt: skip
DEEP: Any = []
for _ in range(300):
    DEEP = [DEEP]
SYNC = {"type": "blacklist", "action": "add", "ts": SECONDS, "reject": {"email": PERSON}}


def test_mandrill_s_events_become_rows() -> None:
    bounced, clicked, sync = events_of(mandrill([HARD_BOUNCE, CLICKED, SYNC]))
    assert (bounced.name, bounced.user_id, json.loads(bounced.properties)) == (
        "mail_bounce", "111", {"campaign": "spring", "tags": ["receipts"], "type": "hard_bounce"},
    )  # fmt: skip
    assert (clicked.name, clicked.url, clicked.consent) == ("mail_click", CLICKED["url"], "consent=none")
    assert sync.name == "mail_blacklist"
    assert len({bounced.event_id, clicked.event_id, sync.event_id}) == 3


def test_an_event_nested_too_deep_leaves_its_neighbours_alone() -> None:
    reading = mandrill([SYNC | {"x": DEEP}, HARD_BOUNCE])
    assert [event.name for event in events_of(reading)] == ["mail_bounce"]
    assert [one["index"] for one in json.loads(reading.answer.body)["rejected"]] == [0]


def test_a_long_word_is_cut_and_no_half_of_an_address_is_left() -> None:
    word = " ".join(["a@b.example"] * 181) + " longer-" + "x" * 100 + "@secret.example"
    (event,) = events_of(sendgrid([OPENED | {"category": [word, "y" * 300_000]}]))
    assert "longer-" not in event.properties
    assert "example" not in event.properties


def test_only_mandrill_s_own_signature_is_taken() -> None:
    assert mandrill([CLICKED], key="wrong").answer.status == 401
    assert mandrill([CLICKED], url="https://elsewhere.example/v1/mail/mandrill?k=pk").answer.status == 401
    assert mandrill([CLICKED], url="https://events.shop.example/v1/mail/mandrill/?k=pk").answer.status == 200
    assert ask("mandrill", b"mandrill_events=%5B7%5D").answer.status == 401
    assert ask("mandrill", b"").answer.status == 401


@pytest.mark.parametrize(
    "body", [b"mandrill_events=%5B%5D", b"mandrill_events=%5B+%0A%5D", b"a=1&mandrill_events=[]"]
)
def test_the_test_of_the_address_comes_before_anybody_has_the_key(body: bytes) -> None:
    for query in ("k=pk", "k=other"):
        reading = ask("mandrill", body, query)
        assert (reading.answer.status, reading.rows, reading.refusals) == (200, [], [])
        assert json.loads(reading.answer.body) == {"accepted": 0, "rejected": []}


UNSUBSCRIBED = {
    "type": "unsubscribe", "fired_at": "2025-11-22 08:00:00", "data[action]": "unsub", "data[reason]": "manual",
    "data[id]": "8a25ff1d98", "data[web_id]": "203929", "data[email]": PERSON, "data[ip_opt]": "203.0.113.77",
    "data[list_id]": "a6b5da1054", "data[campaign_id]": "cb398d21d2", "data[merges][FNAME]": "Jane",
}  # fmt: skip


def test_mailchimp_s_events_become_rows() -> None:
    (event,) = events_of(mailchimp(UNSUBSCRIBED))
    assert (event.name, event.user_id, event.occurred_at) == ("mail_unsubscribe", "203929", 1_763_798_400_000)
    assert json.loads(event.properties) == {"campaign": "cb398d21d2", "list": "a6b5da1054", "type": "manual"}
    (cleaned,) = events_of(mailchimp({**UNSUBSCRIBED, "type": "cleaned", "data[reason]": "hard"}))
    assert cleaned.name == "mail_bounce"


def test_mailchimp_needs_the_secret_and_its_greeting_makes_no_event() -> None:
    assert mailchimp(UNSUBSCRIBED, secret="").answer.status == 401
    assert mailchimp(UNSUBSCRIBED, secret="wrong").answer.status == 401
    assert ask("mailchimp", urlencode(UNSUBSCRIBED).encode(), "k=other&secret=").answer.status == 401
    assert (mailchimp({}).answer.status, mailchimp({}).rows) == (200, [])
    assert mailchimp({"type": "subscribe", "fired_at": "yesterday"}).answer.status == 400


@pytest.mark.parametrize(
    "read",
    [
        lambda: sendgrid([OPENED, BOUNCED]),
        lambda: mandrill([HARD_BOUNCE, CLICKED, SYNC]),
        lambda: mailchimp(UNSUBSCRIBED),
    ],
)  # fmt: skip
def test_a_row_never_holds_an_address_and_a_repeat_is_the_same_row(read: Any) -> None:
    rows, again = read().rows, read().rows
    assert rows == again
    payload = json.dumps([row for _, row in rows])
    assert [word for word in NOT_IN_PAYLOAD if word in payload] == []
    assert all((event.ip, event.user_agent, event.language) == ("", "", "") for event in events_of(read()))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    [*OPENED, *BOUNCED, "url", "sg_machine_open", "asm_group_id", "msg", "_id", "ts", "user_agent"]
)


@given(st.dictionaries(FIELDS, JSON, max_size=6))
def test_whatever_a_field_holds_the_event_is_a_row_or_a_refusal(change: dict[str, Any]) -> None:
    for reading in (sendgrid([OPENED | change]), mandrill([CLICKED | change])):
        assert reading.answer.status == 200
        assert len(reading.rows) + len(reading.refusals) == 1


@given(st.dictionaries(st.sampled_from(list(UNSUBSCRIBED)), st.text(max_size=20), max_size=6))
def test_whatever_a_form_holds_it_is_a_row_or_a_refusal(change: dict[str, str]) -> None:
    reading = mailchimp(UNSUBSCRIBED | change)
    assert (reading.answer.status, len(reading.rows), len(reading.refusals)) in ((200, 1, 0), (400, 0, 1))
