"""The endpoints of pages and mails in the OpenAPI document: scripts, beacon, choices, opens, clicks and webhooks."""

from __future__ import annotations

from typing import Any

from ingest.mail.webhooks import webhook_routes
from ingest.openapi.events import GIF, JSON, KEYS, PICTURE_HEADERS, curl, errors
from ingest.openapi.schemas import SIGNAL, TIME, Schema, identifier, ref, text
from ingest.reading.body import EVENT_COUNT_MAX
from ingest.tag.endpoint import NAMES
from schemas.consent import OTHER_SIGNALS

Part = dict[str, Any]

SCRIPTS = {
    "t.js": "The tag: page views, engaged time, scroll, outbound clicks, once a consent state is known",
    "consent.js": "The consent dialog, or the ear for a consent platform that is there already",
    "links.js": "Takes a visit along to another declared domain, with consent",
}
SITE: Schema = text("the site's public key", minLength=1, examples=["demo"])
SERVICES = {
    "sendgrid": "SendGrid's Event Webhook, signed with ECDSA",
    "mailchimp": "Mailchimp's audience webhook, with a secret in its address",
    "mandrill": "Mandrill's webhook, signed with HMAC-SHA-1",
}


def page_schemas() -> dict[str, Schema]:
    """The shapes of the endpoints below."""
    signals = dict.fromkeys(OTHER_SIGNALS, SIGNAL)
    purposes = {"type": "object", "additionalProperties": {"type": "boolean"}}
    count = {"type": "integer", "minimum": 0}
    return {
        "Beacon": {
            "type": "object",
            "required": ["k", "events"],
            "properties": {
                "k": SITE,
                "events": {"type": "array", "items": {"type": "object"}, "maxItems": EVENT_COUNT_MAX,
                           "description": "each an Event once `common` is added"},
                "common": {"type": "object", "description": "fields that all events share"},
                "sent_at": TIME,
                "page": text("made from chance by each page view, repeated by a retry"),
                "link": text("a token of another domain of the site"),
            },
        },
        "BeaconAnswer": {
            "type": "object",
            "required": ["accepted"],
            "properties": {
                "accepted": count,
                "rejected": {"type": "array", "items": {"allOf": [ref("Error")], "required": ["index"],
                                                        "properties": {"index": count}}},
            },
        },
        "Choice": {
            "type": "object",
            "required": ["consent"],
            "properties": {
                "k": SITE,
                "consent": ref("Consent"),
                "id": identifier("your own id of the choice, so that a retry is the same proof"),
                "url": text("where it was made"),
                "ts": TIME,
                "visitor_id": identifier("whose choice it is, where no cookie says so"),
                "user_id": identifier("the same, by your name of the person"),
                "page": text("as at `/b`"),
                "link": text("as at `/b`: it names who has no cookie yet"),
                "text_version": text("the version of the text that was shown"),
                "by": text("who asked, such as dialog"),
                **signals,
            },
        },
        "Proof": {
            "type": "object",
            "required": ["proof", "consent", "at"],
            "properties": {
                "proof": text("the id under which the choice is kept"), "consent": purposes, "at": TIME
            },
        },
        "Chosen": {
            "type": "object",
            "required": ["consent", "at", "opted_out"],
            "properties": {
                "consent": {**purposes, "type": ["object", "null"], "description": "null: nothing was agreed to"},
                "at": {"type": ["integer", "null"], "description": "ms since 1970"},
                "opted_out": {"type": "boolean", "description": "Global Privacy Control or Do Not Track is set"},
            },
        },
        "LinkRequest": {
            "type": "object",
            "required": ["to"],
            "properties": {"k": SITE, "to": text("the other domain", minLength=1, examples=["blog.example"])},
        },
        "LinkToken": {
            "type": "object",
            "required": ["token"],
            "properties": {"token": {"type": ["string", "null"], "description": "null: no consent, or not declared"}},
        },
    }  # fmt: skip


def page_paths() -> Part:
    """The addresses of our own tag, of choices, and of mails."""
    return {**{f"/{name}": {"get": _script(name)} for name in NAMES}, **_tag(), **_mail()}


def _script(name: str) -> Part:
    return {
        "tags": ["pages"],
        "operationId": name.replace(".", "_"),
        "summary": SCRIPTS[name],
        "responses": {
            "200": {
                "description": "the script; cached for an hour, with an ETag",
                "content": {"text/javascript": {"schema": {"type": "string"}}},
            },
            "304": {"description": "as you have it"},
        },
    }


def _tag() -> Part:
    plain = "The body is JSON under any Content-Type, so that a page may send it without a preflight."
    key = [{"name": "k", "in": "query", "required": True, "schema": SITE}]
    return {
        "/b": {
            "post": _post(
                "sendBeacon",
                "What the tag saw on a page",
                f"{plain} Sets the first-party cookie where consent allows it, and ends it with a withdrawal.",
                "Beacon",
                "BeaconAnswer",
            )
        },
        "/v1/consent": {
            "post": {
                **_post(
                    "giveConsent", "A choice, given, changed or withdrawn", f"{plain} Kept as proof.", "Choice", "Proof"
                ),
                "x-codeSamples": [curl("""$EDGE/v1/consent -d '{"k": "demo", "consent": {"measurement": true}}'""")],
            },
            "get": {
                "tags": ["pages"],
                "operationId": "readConsent",
                "summary": "What this browser chose",
                "parameters": key,
                "responses": {
                    "200": {"description": "by cookie and headers", "content": {JSON: {"schema": ref("Chosen")}}},
                    **errors("401", "429"),
                },
            },
        },
        "/v1/link": {
            "post": _post(
                "linkDomains",
                "A token for the way to another domain of the site",
                f"{plain} Signed, for one use, good for two minutes.",
                "LinkRequest",
                "LinkToken",
            )
        },
    }  # fmt: skip


def _post(operation_id: str, summary: str, description: str, asks: str, answers: str) -> Part:
    return {
        "tags": ["pages"],
        "operationId": operation_id,
        "summary": summary,
        "description": description,
        "requestBody": {"required": True, "content": {JSON: {"schema": ref(asks)}}},
        "responses": {
            "200": {"description": "kept", "content": {JSON: {"schema": ref(answers)}}},
            **errors("400", "401", "408", "413", "429", "503"),
        },
        "security": [{}, *KEYS],
    }


def _mail() -> Part:
    token = [
        {
            "name": "token",
            "in": "path",
            "required": True,
            "schema": text("made by `fairpixel mail-link`", minLength=1),
        }
    ]
    damaged = {"description": "the link was changed, or it is not one of ours", "headers": PICTURE_HEADERS}
    paths: Part = {
        "/o/{token}": {
            "get": {
                "tags": ["mail"],
                "operationId": "openMail",
                "summary": "The open pixel of a mail: a signed token and `.gif`",
                "description": "The body is the GIF whatever the status. `HEAD` makes no event.",
                "parameters": token,
                "responses": {
                    "200": {"description": "kept", "content": GIF},
                    "400": {**damaged, "content": GIF},
                    **{
                        status: {"description": meaning, "headers": PICTURE_HEADERS, "content": GIF}
                        for status, meaning in (("429", "too many at once"), ("503", "cannot be kept at the moment"))
                    },
                },
            }
        },
        "/c/{token}": {
            "get": {
                "tags": ["mail"],
                "operationId": "clickMail",
                "summary": "A click in a mail, on its way to the page",
                "description": "Leads to the target in the token, or to that of `u` on a host of `click_hosts`, and "
                "nowhere else.",
                "parameters": [
                    *token,
                    {"name": "u", "in": "query", "schema": text("the page, where the token names none")},
                ],
                "responses": {
                    "302": {"description": "to the page", "headers": {"Location": {"schema": {"type": "string"}}}},
                    "400": {
                        "description": "the link was changed, or leads where its sender did not say",
                        "headers": {"X-Fairpixel-Code": PICTURE_HEADERS["X-Fairpixel-Code"]},
                        "content": {"text/plain": {"schema": {"type": "string"}}},
                    },
                },
            }
        },
    }  # fmt: skip
    for route in webhook_routes(dict):
        for method in route.methods:
            paths.setdefault(route.path, {})[method.lower()] = _webhook(route.protocol, method)
    return paths


def _webhook(service: str, method: str) -> Part:
    operation: Part = {
        "tags": ["mail"],
        "operationId": f"{service}{method.capitalize()}",
        "summary": SERVICES[service] if method == "POST" else f"Whether the webhook of {service} is there",
        "parameters": [{"name": "k", "in": "query", "required": False, "schema": SITE}],
        "responses": {
            "200": {"description": "every event that could be read is kept" if method == "POST" else "it is"}
        },
    }
    if method == "POST":
        operation["description"] = "What becomes of its fields is described in docs/mail.md."
        operation["responses"] |= errors("400", "401", "408", "413", "429", "503")
    return operation
