"""One call of the Segment specification, as Segment's and RudderStack's SDKs send it → `Row`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ingest.protocols.apps import flag_of_app
from ingest.protocols.categories import consent_signals
from ingest.protocols.envelope import without_address
from ingest.protocols.lenient import (
    currency,
    first_given,
    first_text,
    identifier,
    mapping,
    moment,
    money,
    size,
    text,
)
from ingest.protocols.mapping import SERVER, TAG, make_row
from ingest.protocols.orders import find_order
from ingest.protocols.protocol import Ask
from ingest.reading.fields import invalid
from ingest.reading.row import Row
from ingest.reading.sites import Credential

CALLS = frozenset({"identify", "track", "page", "screen", "group", "alias", "merge"})
VIEWS = frozenset({"page", "screen"})
# SDKs that run where the person is, so that the request speaks of the person.
CLIENT_LIBRARIES = frozenset({
    "analytics.js", "analytics-js", "@segment/analytics-next", "RudderLabs JavaScript SDK",
    "analytics-ios", "analytics-android", "analytics-kotlin", "analytics-swift", "analytics-react-native",
    "@segment/analytics-react-native", "analytics_flutter",
})  # fmt: skip
CLIENT_CHANNELS = frozenset({"web", "mobile"})  # as RudderStack's SDKs say
MAPPED_OF_VIEWS = (
    "url",
    "referrer",
    "title",
    "search",
)  # properties of page and screen that have fields of their own
NO_ADDRESS = "0.0.0.0"  # in context.ip: the sender wants no address kept

MAPPING: Mapping[str, str] = {
    "event_id": "`messageId`; the order id of a purchase",
    "name": "`event` of track; `page_view` for page and screen, else the call: identify, group, alias, merge;"
    " `purchase` for `Order Completed`, `Completed Order` or `purchase` with an order id"
    " (`order_id`, `orderId`, `transaction_id`), whose own name is kept as `properties.original_event`",
    "kind": "page for page and screen, identify for identify, purchase for purchases, else custom",
    "source": "tag with an `Origin` header, a browser's or phone's `context.library.name`, or `channel` web or mobile;"
    " pixel on the pixel paths; else server",
    "occurred_at": "`timestamp`, else `originalTimestamp`",
    "sent_at": "`sentAt` of the event, else of the batch",
    "ip": "`context.ip` with a secret key; 0.0.0.0 keeps none; else a browser's own",
    "user_agent": "`context.userAgent`, else a browser's own",
    "language": "`context.locale`, else a browser's own",
    "url": "`properties.url` of page, else `context.page.url`",
    "referrer": "`properties.referrer` of page, else `context.page.referrer`",
    "title": "`properties.title` of page, else `context.page.title`",
    "visitor_id": "`anonymousId`; in alias without one `previousId`",
    "user_id": "`userId`",
    "session_id": "`context.sessionId`",
    "consent": "`context.consent.categoryPreferences`, or `context.consentManagement`: purposes where every category is"
    " well known and one speaks of measurement, else the signal `categories`",
    "screen": "`context.screen.width` x `height`",
    "viewport": "`context.screen.innerWidth` x `innerHeight`",
    "timezone": "`context.timezone`",
    "value_e4": "the first readable of `properties.revenue`, `total`, `value`",
    "currency": "`properties.currency`",
    "properties": "`properties`, or the `traits` of identify and group; also `name`, `category`, `groupId`,"
    " `context.campaign`, and `type` for screen",
}


@dataclass(frozen=True, slots=True)
class Calls:
    """The calls of one request: what they share."""

    ask: Ask
    protocol: str
    context: Mapping[str, Any]  # of the batch, under each call's own
    sent_at: int  # of the batch, ms; 0: none
    call: str = ""  # as the path names it; "": each names its own
    source: str = ""  # as the path decides it; "": as each call shows

    @classmethod
    def of(cls, ask: Ask, protocol: str, fields: Mapping[str, Any], call: str, source: str) -> Calls:
        """fields: of the batch, beside the list."""
        return cls(ask, protocol, mapping(fields.get("context")), moment(fields.get("sentAt")), call, source)

    def read(self, credential: Credential, item: Mapping[str, Any]) -> Row:
        """One call. Raises Unacceptable naming the field."""
        call = self.call or item.get("type") or ("track" if "event" in item else None)
        if not isinstance(call, str) or call not in CALLS:
            raise invalid("type", f"one of {', '.join(sorted(CALLS))}")
        context = {**self.context, **mapping(item.get("context"))}
        payload = _properties(item)
        page, screen = mapping(context.get("page")), mapping(context.get("screen"))
        own = payload if call in VIEWS else {}
        ask, ip = self.ask, text(context.get("ip"))
        if ip == NO_ADDRESS:
            ask, ip = without_address(ask), None
        name, event_id = _name(call, item, payload)
        return make_row(
            ask,
            credential,
            protocol=self._protocol(context),
            source=self.source or _source(ask, item, context),
            name=name,
            event_id=event_id,
            kind="identify" if call == "identify" else "",
            occurred_at=first_given(item.get("timestamp"), item.get("originalTimestamp")),
            sent_at=moment(item.get("sentAt")) or self.sent_at,
            ip=ip,
            user_agent=text(context.get("userAgent")),
            language=text(context.get("locale")),
            url=first_text(own.get("url"), page.get("url")),
            referrer=_referrer(first_text(own.get("referrer"), page.get("referrer"))),
            title=first_text(own.get("title"), page.get("title")),
            visitor_id=_visitor(call, item),
            user_id=identifier(item.get("userId")),
            session_id=identifier(context.get("sessionId")),
            flags=_app(item, context),
            signals=consent_signals(context.get("consent") or context.get("consentManagement")),
            screen=size(screen.get("width"), screen.get("height")),
            viewport=size(screen.get("innerWidth"), screen.get("innerHeight")),
            timezone=text(context.get("timezone")),
            value=money(payload.get("revenue"), payload.get("total"), payload.get("value")),
            currency=currency(payload.get("currency")),
            properties=_kept(call, item, payload, context, name),
        )

    def _protocol(self, context: Mapping[str, Any]) -> str:
        library = first_text(mapping(context.get("library")).get("name")) or ""
        return "rudderstack" if "rudder" in library.lower() else self.protocol


def _properties(item: Mapping[str, Any]) -> Mapping[str, Any]:
    payload = item.get("properties")
    if payload is None or payload == "":
        return {}
    if not isinstance(payload, dict):
        raise invalid("properties", "an object")
    return payload


def _name(call: str, item: Mapping[str, Any], payload: Mapping[str, Any]) -> tuple[object, object]:
    """(name, id): an order is one event whatever sends it, named `purchase` under the order's id."""
    message_id = item.get("messageId")
    if call in VIEWS:
        return "page_view", message_id
    if call != "track":
        return call, message_id
    name = item.get("event")
    order_id = find_order(name, payload)
    return (name, message_id) if order_id is None else ("purchase", order_id)


def _referrer(referrer: str | None) -> str | None:
    return None if referrer == "$direct" else referrer  # as RudderStack's browser SDK says "none"


def _visitor(call: str, item: Mapping[str, Any]) -> str | int | None:
    visitor = identifier(item.get("anonymousId"))
    return identifier(item.get("previousId")) if call == "alias" and visitor in (None, "") else visitor


def _source(ask: Ask, item: Mapping[str, Any], context: Mapping[str, Any]) -> str:
    if b"origin" in ask.headers or text(item.get("channel")) in CLIENT_CHANNELS:
        return TAG
    return TAG if text(mapping(context.get("library")).get("name")) in CLIENT_LIBRARIES else SERVER


def _app(item: Mapping[str, Any], context: Mapping[str, Any]) -> int:
    """Flag.APP where the SDK says that it runs in an app."""
    return flag_of_app(text(item.get("channel"))) or flag_of_app(mapping(context.get("library")).get("name"))


def _kept(
    call: str, item: Mapping[str, Any], payload: Mapping[str, Any], context: Mapping[str, Any], name: object
) -> dict[str, Any]:
    """What has no field of its own."""
    kept: dict[str, Any] = {}
    match call:
        case "page" | "screen":
            kept = {key: item[key] for key in ("name", "category") if item.get(key)}
            kept |= {"type": "screen"} if call == "screen" else {}
            kept |= {key: value for key, value in payload.items() if key not in MAPPED_OF_VIEWS}
        case "identify" | "group":
            kept = {"groupId": item["groupId"]} if item.get("groupId") else {}
            kept |= {**mapping(context.get("traits")), **mapping(item.get("traits"))}
        case "track" if name == "purchase" and item.get("event") != "purchase":
            kept = {**payload, "original_event": item.get("event")}
        case _:
            kept = dict(payload)
    if campaign := context.get("campaign"):
        kept.setdefault("campaign", campaign)
    return kept
