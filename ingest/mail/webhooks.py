"""Webhooks of mail services: SendGrid's Event Webhook, Mailchimp's audience webhook, Mandrill's. Never an address.

The address of a webhook names the site, `?k=<public key>`; what proves its sender is the service's own signature, or
for Mailchimp, which has none, a secret in the address. A batch with one bad event keeps its neighbours.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any
from urllib.parse import parse_qsl

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from ingest.mail.links import CLICK, OPEN
from ingest.mail.opens import KIND, SOURCE, Judgement, MailRules, judge, verdict_flags
from ingest.protocols.mapping import make_row
from ingest.protocols.payload import derive_id
from ingest.protocols.protocol import Ask, Reading, Route, error_answer, json_answer, text_answer
from ingest.reading.body import EVENT_COUNT_MAX, TOO_LARGE, split_list
from ingest.reading.client import Client
from ingest.reading.fields import Rejection, Unacceptable, invalid, parse_choice, parse_id, parse_text
from ingest.reading.row import Row
from ingest.reading.sites import SECRET, Credential
from ingest.reading.times import SECONDS, Moment, parse_moment
from schemas.consent import encode_signals
from schemas.event import TEXT_LENGTH_MAX

# A day, as long as copies are recognised: a recorded request played again stays a duplicate.
SIGNED_MS_MAX = 86_400_000
SIGNED_AHEAD_MS_MAX = 300_000
WORD_LENGTH_MAX = 200  # characters of a campaign, a category, a reason
WORDS_MAX = 20  # categories or tags of an event
FORM_ESCAPES_MAX = 1_000_000  # 0.3 s beside the loop; a form of 5 MB that is JSON has fewer
FORM_FIELDS_MAX = 500

Rules = Callable[[], Mapping[str, MailRules]]
Item = Mapping[str, Any]

NOT_SIGNED = Rejection(
    "signature_refused",
    "The signature does not fit.",
    'Give the site the key the mail service shows: see "Webhooks" in docs/mail.md',
)
NOT_A_LIST = Rejection("unreadable_body", "The body cannot be read.", "body: expected a JSON list of events")
NOT_A_FORM = Rejection(
    "unreadable_body", "The body cannot be read.", "body: expected a form with a field type"
)
SENDGRID_NAMES = {"spamreport": "mail_spam_report", "group_unsubscribe": "mail_unsubscribe"}
MANDRILL_NAMES = {
    "send": "mail_sent", "deferral": "mail_deferred", "hard_bounce": "mail_bounce", "soft_bounce": "mail_bounce",
    "spam": "mail_spam_report", "unsub": "mail_unsubscribe", "reject": "mail_dropped",
}  # fmt: skip
MAILCHIMP_NAMES = {
    "subscribe": "mail_subscribe", "unsubscribe": "mail_unsubscribe", "cleaned": "mail_bounce",
    "upemail": "mail_address_changed", "profile": "mail_profile_changed", "campaign": "mail_campaign",
}  # fmt: skip
_WORD = re.compile(r"[a-z][a-z_]{0,39}")
# From the start of a word on, and never back: else each letter of a long one would be tried to its end.
_ADDRESS = re.compile(r"(?<![^\s@<>])[^\s@<>]++@[^\s@<>]++")


@dataclass(frozen=True, slots=True)
class MailEvent:
    """One event of any service, read; what every service says in words of its own."""

    name: str
    event_id: str
    occurred_at: object  # ISO 8601, or a Moment
    recipient: str = ""
    campaign: str = ""
    message: str = ""
    url: object = None
    judgement: Judgement | None = None  # of opens and clicks
    consent: str = ""
    properties: Mapping[str, Any] | None = None


def webhook_routes(rules: Rules) -> tuple[Route, ...]:
    """The routes of all webhooks. GET answers 200: the services ask once whether somebody is there."""
    found = []
    for service, read in (
        ("sendgrid", read_sendgrid),
        ("mailchimp", read_mailchimp),
        ("mandrill", read_mandrill),
    ):
        path = f"/v1/mail/{service}"
        found.append(Route(service, path, ("POST",), partial(_read_of_site, rules, read), busy_status=503))
        found.append(Route(service, path, ("GET",), _greet))
    return tuple(found)


def read_sendgrid(ask: Ask, site: str, rules: MailRules) -> Reading:
    """SendGrid's Event Webhook: a JSON list, signed with ECDSA over P-256 and SHA-256 (Twilio's page "Getting Started
    with the Event Webhook Security Features")."""
    timestamp = ask.headers.get(b"x-twilio-email-event-webhook-timestamp", b"")
    signature = ask.headers.get(b"x-twilio-email-event-webhook-signature", b"")
    if not is_signed_by(rules.sendgrid_public_key, signature, timestamp + ask.body):
        return _refuse(site, NOT_SIGNED, 401)
    seconds = int(timestamp) if timestamp.isdigit() and len(timestamp) < 12 else 0
    if not ask.now_ms - SIGNED_MS_MAX <= seconds * 1000 <= ask.now_ms + SIGNED_AHEAD_MS_MAX:
        return _refuse(site, NOT_SIGNED, 401)
    read = partial(_sendgrid_event, ask.sites.id_secret(site))
    return _read_list(ask, site, "sendgrid", ask.body, read)


def read_mandrill(ask: Ask, site: str, rules: MailRules) -> Reading:
    """Mandrill's webhook: a form whose field `mandrill_events` is a JSON list, signed with HMAC-SHA-1 over the address
    as entered there and the fields in order (Mandrill's page "How to Authenticate Webhook Requests")."""
    form = _read_form(ask.body)
    if _is_empty_list(form.get("mandrill_events", "")):
        # Its test of the address, before it shows the key to check the signature with.
        return Reading(json_answer({"accepted": 0, "rejected": []}))
    given = ask.headers.get(b"x-mandrill-signature", b"")
    payload = "".join(name + text for name, text in sorted(form.items()))
    signed = False
    for url in _own_addresses(ask, "mandrill"):
        mac = hmac.digest(
            rules.mandrill_key.encode(), (url + payload).encode("utf-8", "surrogatepass"), "sha1"
        )
        signed |= hmac.compare_digest(base64.b64encode(mac), given)
    if not signed or not rules.mandrill_key:
        return _refuse(site, NOT_SIGNED, 401)
    read = partial(_mandrill_event, rules.mandrill_key.encode())
    return _read_list(ask, site, "mandrill", form.get("mandrill_events", "").encode("utf-8", "replace"), read)


def read_mailchimp(ask: Ask, site: str, rules: MailRules) -> Reading:
    """Mailchimp's audience webhook: one event as a form (Mailchimp's page "Sync Audience Data with Webhooks")."""
    given = _query(ask.query).get("secret", "")
    if not rules.mailchimp_secret or not hmac.compare_digest(given.encode(), rules.mailchimp_secret.encode()):
        return _refuse(site, NOT_SIGNED, 401)
    form = _read_form(ask.body)
    if not form:
        return Reading(json_answer({"accepted": 0}))  # their check of the address
    try:
        row = _row(ask, site, "mailchimp", _mailchimp_event(rules.mailchimp_secret.encode(), form))
    except Unacceptable as problem:
        return _refuse(site, problem.rejection, 400)
    return Reading(json_answer({"accepted": 1}), [(Credential(site, SECRET), row)])


def is_signed_by(public_key: str, signature: bytes, content: bytes) -> bool:
    """Whether the signature (base64 of ASN.1 DER) is that of the key (base64 of its DER form); False for no key."""
    key = _load_key(public_key)
    if key is None:
        return False
    try:
        key.verify(base64.b64decode(signature, validate=True), content, ec.ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True


@lru_cache(maxsize=64)
def _load_key(public_key: str) -> ec.EllipticCurvePublicKey | None:
    try:
        key = load_der_public_key(base64.b64decode(public_key, validate=True))
    except (ValueError, binascii.Error):
        return None
    return key if isinstance(key, ec.EllipticCurvePublicKey) else None


def _read_of_site(rules: Rules, read: Callable[[Ask, str, MailRules], Reading], ask: Ask) -> Reading:
    credential = ask.sites.find(_query(ask.query).get("k", ""))
    if credential is None:
        why = Rejection(
            "unknown_key",
            "The site key is not known here.",
            "k: expected the site's public key in the address",
        )
        return _refuse("", why, 401)
    return read(ask, credential.site, rules().get(credential.site, MailRules()))


def _greet(_: Ask) -> Reading:
    return Reading(text_answer("This is a webhook; it takes POST."))


def _read_list(ask: Ask, site: str, service: str, body: bytes, read: Callable[[Item], MailEvent]) -> Reading:
    try:
        _, items = split_list(body, "events")
    except Unacceptable as problem:
        return _refuse(site, problem.rejection, 400)
    if items is None:
        return _refuse(site, NOT_A_LIST, 400)
    if len(items) > EVENT_COUNT_MAX:
        return _refuse(site, TOO_LARGE, 413)
    rows: list[tuple[Credential, Row]] = []
    refusals: list[tuple[str, Rejection]] = []
    rejected = []
    credential = Credential(site, SECRET)
    for index, item in enumerate(items):
        try:
            if not isinstance(item, dict):
                raise invalid("event", "a JSON object")
            rows.append((credential, _row(ask, site, service, read(item))))
        except Unacceptable as problem:
            refusals.append((site, problem.rejection))
            rejected.append({"index": index, **problem.rejection._asdict()})
    return Reading(json_answer({"accepted": len(rows), "rejected": rejected}), rows, refusals)


def _row(ask: Ask, site: str, service: str, event: MailEvent) -> Row:
    payload = {"campaign": event.campaign, "message": event.message, **(event.properties or {})}
    if event.judgement is not None:
        payload |= {"verdict": str(event.judgement.verdict), "reason": event.judgement.reason}
    return make_row(
        replace(ask, client=Client()),  # the service's own server is nobody's address
        Credential(site, SECRET),
        protocol=service,
        source=SOURCE,
        name=event.name,
        event_id=event.event_id,
        kind=KIND,
        occurred_at=event.occurred_at,
        url=event.url,
        user_id=event.recipient,
        signals=encode_signals({"consent": event.consent}) if event.consent else "",
        flags=verdict_flags(event.judgement.verdict) if event.judgement else 0,
        properties={name: what for name, what in payload.items() if what not in ("", None, [])},
    )


def _sendgrid_event(id_secret: str, item: Item) -> MailEvent:
    """Fields as in Twilio's page "Event Webhook Reference"; the sender's own arguments stand beside them.

    Some events, unsubscribes among them, come without `sg_event_id`. SendGrid repeats a request word for word, so their
    id is a keyed hash of all that the event says.
    """
    word = _event_word(item.get("event"))
    event_id = parse_id(item.get("sg_event_id"), "sg_event_id") or derive_id(id_secret, "sendgrid", item)
    kind = {"open": OPEN, "click": CLICK}.get(word)
    agent = parse_text(item.get("useragent"), "useragent", TEXT_LENGTH_MAX)
    machine = item.get("sg_machine_open") in (True, "true", 1, "1")
    return MailEvent(
        name=SENDGRID_NAMES.get(word, f"mail_{word}"),
        event_id=event_id,
        occurred_at=_from_seconds(item.get("timestamp"), "timestamp"),
        recipient=_own_id(item),
        campaign=_word(item.get("marketing_campaign_name") or item.get("singlesend_name")),
        message=_word(item.get("message") or item.get("campaign")),
        url=item.get("url") if kind == CLICK else None,
        judgement=judge(kind, agent, None, machine_flag=machine) if kind else None,
        consent=_consent(item),
        properties={
            "category": _words(item.get("category")),
            "type": _word(item.get("type")),
            "status": _word(item.get("status")),
            "group": item.get("asm_group_id") if isinstance(item.get("asm_group_id"), int) else None,
        },
    )


def _mandrill_event(key: bytes, item: Item) -> MailEvent:
    """Fields as in Mandrill's page "Webhook Format". It names no id of an event, so the id is a keyed hash of what a
    repeat has in common."""
    word = _event_word(item.get("event") or item.get("type"))
    message = _object(item.get("msg"))
    own = _object(message.get("metadata"))
    kind = {"open": OPEN, "click": CLICK}.get(word)
    agent = parse_text(item.get("user_agent"), "user_agent", TEXT_LENGTH_MAX)
    message_id = item.get("_id") or message.get("_id")
    # sync events name no message
    named = [word, message_id, item.get("ts"), item.get("url")] if message_id else item
    return MailEvent(
        name=MANDRILL_NAMES.get(word, f"mail_{word}"),
        event_id=_hash(key, named),
        occurred_at=_from_seconds(item.get("ts"), "ts"),
        recipient=_own_id(own),
        campaign=_word(own.get("campaign")),
        message=_word(own.get("message")),
        url=item.get("url") if kind == CLICK else None,
        judgement=judge(kind, agent, None) if kind else None,
        consent=_consent(own),
        properties={"tags": _words(message.get("tags")), "type": word if "bounce" in word else ""},
    )


def _mailchimp_event(key: bytes, form: Mapping[str, str]) -> MailEvent:
    """One audience event. It has no id either; `fired_at` is UTC without saying so."""
    word = _event_word(form.get("type"))
    return MailEvent(
        name=MAILCHIMP_NAMES.get(word, f"mail_{word}"),
        event_id=_hash(key, sorted(form.items())),
        occurred_at=form.get("fired_at"),
        recipient=_own_id({"recipient": form.get("data[web_id]", "")}),
        campaign=_word(form.get("data[campaign_id]") or (form.get("data[id]") if word == "campaign" else "")),
        properties={
            "list": _word(form.get("data[list_id]")),
            "type": _word(form.get("data[reason]")),
            "status": _word(form.get("data[status]")),
        },
    )


def _object(value: object) -> Item:
    return value if isinstance(value, dict) else {}


def _event_word(value: object) -> str:
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise invalid("event", "the event's type, such as open or click")
    return value


def _from_seconds(value: object, field: str) -> Moment:
    """The service's time, which `make_row` asks whether it can be true. Raises Unacceptable where there is none."""
    moment = parse_moment(value, field, SECONDS)
    if not moment.ms:
        raise invalid(field, "seconds since 1970")
    return moment


def _own_id(own: Item) -> str:
    """The mail team's own id of the recipient, "" where there is none or it is an address after all."""
    value = own.get("recipient") or own.get("user_id")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and "@" not in value else ""


def _consent(own: Item) -> str:
    return parse_choice(own.get("consent"))


def _word(value: object) -> str:
    """A short text without anything like an address in it."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        return ""
    if (
        len(value) > TEXT_LENGTH_MAX
    ):  # to look for addresses takes the square of it; the cut leaves no half of one
        value = value[:TEXT_LENGTH_MAX].rpartition(" ")[0]
    return _ADDRESS.sub("", value)[:WORD_LENGTH_MAX]


def _words(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [word for one in values[:WORDS_MAX] if (word := _word(one))]


def _hash(key: bytes, named: object) -> str:
    try:
        encoded = orjson.dumps(named, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        raise invalid("event", "at most 250 levels of nesting") from None
    return hmac.digest(key, encoded, "sha256")[:16].hex()


def _read_form(body: bytes) -> dict[str, str]:
    if body.count(b"%") > FORM_ESCAPES_MAX:
        return {}
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX))
    except ValueError:  # no UTF-8, or too many fields
        return {}


def _query(query: bytes) -> dict[str, str]:
    return _read_form(query)


def _is_empty_list(text: str) -> bool:
    return len(text) <= 100 and "".join(text.split()) == "[]"


def _own_addresses(ask: Ask, service: str) -> list[str]:
    """Every way our own address may have been entered there. All of them are covered by the signature."""
    host = ask.headers.get(b"host", b"").decode("latin-1")
    query = f"?{ask.query.decode('latin-1')}" if ask.query else ""
    paths = [f"{prefix}{ask.path}{slash}" for prefix in ("", f"/{service}") for slash in ("", "/")]
    return [f"{scheme}://{host}{path}{query}" for scheme in ("https", "http") for path in paths]


def _refuse(site: str, why: Rejection, status: int) -> Reading:
    return Reading(error_answer(why, status), [], [(site, why)])
