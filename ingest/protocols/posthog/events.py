"""One event of a PostHog SDK, v0 or v1 → `Row`."""

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
    money,
    seconds,
    size,
    text,
)
from ingest.protocols.mapping import SERVER, TAG, make_row
from ingest.protocols.orders import find_order
from ingest.protocols.protocol import Ask
from ingest.reading.fields import Rejection, Unacceptable, invalid, parse_name
from ingest.reading.row import Row
from ingest.reading.sites import Credential
from ingest.reading.times import Moment

NAMES = {
    "$pageview": "page_view",
    "$screen": "page_view",
    "$identify": "identify",
    "$set": "identify",
    "$create_alias": "alias",
    "$groupidentify": "group",
}
RECORDINGS = frozenset({"$snapshot", "$snapshot_items", "$performance_event"})
CLIENT_LIBRARIES = frozenset({
    "web", "js", "posthog-js", "posthog-js-lite", "posthog-ios", "posthog-android", "posthog-react-native",
    "posthog-flutter",
})  # fmt: skip
# Ids that stand for nobody, in lower case: PostHog refuses them, as all visitors would become one
# (docs/protocols/posthog.md).
NOBODY = frozenset({
    "", "0", "-1", "null", "undefined", "none", "nan", "nil", "anonymous", "guest", "true", "false", "id",
    "distinct_id", "distinctid", "email", "not_authenticated", "[object object]", "unknown", "$posthog_cookieless",
})  # fmt: skip
# Properties with a field of their own, keys, ids, and addresses that repeat the page's with its query.
MAPPED = frozenset({
    "token", "api_key", "distinct_id", "$distinct_id", "$device_id", "$user_id", "$anon_distinct_id", "$session_id",
    "$window_id", "$pageview_id", "$insert_id", "$time", "$ip", "$current_url", "$referrer", "title", "$raw_user_agent",
    "$browser_language", "$timezone", "$screen_width", "$screen_height", "$viewport_width", "$viewport_height",
    "$consent", "$set", "$set_once", "$is_identified", "$lib_custom_api_host", "$client_session_props", "$heatmap_data",
    "$lib", "$lib_version", "$is_server", "$geoip_disable", "$config_defaults", "$cookieless_mode", "$ignore_sent_at",
})  # fmt: skip
MAPPED_PREFIXES = ("$initial_", "$session_entry_", "$prev_pageview_", "$sdk_debug_")

MAPPING: Mapping[str, str] = {
    "event_id": "`uuid`, else `properties.$insert_id`; the order id of a purchase",
    "name": "`event`; `page_view` for `$pageview` and `$screen`, identify for `$identify` and `$set`, alias for"
    " `$create_alias`, group for `$groupidentify`; `purchase` for `Order Completed` or `purchase` with an order id"
    " (`order_id`, `orderId`, `transaction_id`), whose own name is kept as `properties.original_event`",
    "kind": "page, identify or purchase by the name, else custom",
    "source": "tag with an `Origin` header, or where `$lib` or PostHog-Sdk-Info names a browser's or phone's SDK; else"
    " server",
    "occurred_at": "`timestamp`, else `properties.$time` in seconds, else the receipt less `offset` in ms",
    "sent_at": "`sent_at` or `sentAt` of the batch, PostHog-Request-Timestamp, or the query's `_`",
    "ip": "`properties.$ip` with a secret key, else a browser's own",
    "user_agent": "`properties.$raw_user_agent`, else a browser's own",
    "language": "`properties.$browser_language`, else a browser's own",
    "url": "`properties.$current_url`",
    "referrer": "`properties.$referrer`",
    "title": "`properties.title`",
    "visitor_id": "`properties.$device_id`, else `$anon_distinct_id`, else `distinct_id` (of the event or its"
    " properties); ids that stand for nobody, such as null or guest, are left out",
    "user_id": "`properties.$user_id`, else the `distinct_id` of `$identify`, or one that differs from `$device_id`;"
    " `properties.alias` of `$create_alias`",
    "session_id": "`session_id`, else `properties.$session_id`",
    "consent": "`properties.$consent`: `all`, purposes, or an object of categories; purposes where every category is"
    " well known and one speaks of measurement, else the signal `categories`",
    "screen": "`properties.$screen_width` x `$screen_height`",
    "viewport": "`properties.$viewport_width` x `$viewport_height`",
    "timezone": "`properties.$timezone`",
    "value_e4": "the first readable of `properties.revenue`, `$revenue`, `total`, `value`",
    "currency": "`properties.currency`",
    "properties": "the rest of `properties`, and `$set` of `$identify` and `$set`; not PostHog's own repetitions"
    " (`$initial_...`, `$session_entry_...`, `$prev_pageview_...`)",
}
RECORDING = Rejection(
    "recording_refused",
    "Recordings of what people do on a page are not taken.",
    "event: switch session recording off in the SDK",
)


@dataclass(frozen=True, slots=True)
class Events:
    """The events of one request: what they share."""

    ask: Ask
    sent_at: int = 0  # of the request, ms; 0: none

    def read(self, credential: Credential, item: Mapping[str, Any]) -> Row:
        """One event. Raises Unacceptable naming the field."""
        payload = _properties(item)
        event = parse_name(
            item.get("event") or ("$identify" if self.ask.path == "/engage" else None), "event"
        )
        if event in RECORDINGS:
            raise Unacceptable(*RECORDING)
        order_id = find_order(event, payload)
        name = (
            "purchase"
            if order_id is not None
            else NAMES.get(event, event)
            if isinstance(event, str)
            else event
        )
        visitor, user = _persons(event, item, payload)
        options = mapping(item.get("options"))
        ask = self.ask
        if payload.get("$ip") == "0.0.0.0":
            ask = without_address(ask)
        claim = first_given(item.get("timestamp"), seconds(payload.get("$time")))
        waited = _waited(ask, item.get("offset")) if claim is None else None
        uncorrected = options.get("disable_skew_correction") is True or payload.get("$ignore_sent_at") is True
        return make_row(
            ask,
            credential,
            protocol="posthog",
            source=_source(ask, payload),
            name=name,
            event_id=order_id if order_id is not None else item.get("uuid") or payload.get("$insert_id"),
            kind="identify" if name == "identify" and event != "identify" else "",
            occurred_at=claim if waited is None else waited,
            sent_at=0 if uncorrected or waited is not None else self.sent_at,
            ip=text(payload.get("$ip")) if ask is self.ask else None,
            user_agent=text(payload.get("$raw_user_agent")),
            language=text(payload.get("$browser_language")),
            url=text(payload.get("$current_url")),
            referrer=None if payload.get("$referrer") == "$direct" else text(payload.get("$referrer")),
            title=text(payload.get("title")),
            visitor_id=visitor,
            user_id=user,
            session_id=identifier(item.get("session_id")) or identifier(payload.get("$session_id")),
            flags=flag_of_app(_library(self.ask, payload)),
            signals=consent_signals(payload.get("$consent")),
            screen=size(payload.get("$screen_width"), payload.get("$screen_height")),
            viewport=size(payload.get("$viewport_width"), payload.get("$viewport_height")),
            timezone=text(payload.get("$timezone")),
            value=money(
                payload.get("revenue"), payload.get("$revenue"), payload.get("total"), payload.get("value")
            ),
            currency=currency(payload.get("currency")),
            properties=_kept(event, name, item, payload),
        )


def _properties(item: Mapping[str, Any]) -> Mapping[str, Any]:
    payload = item.get("properties")
    if payload is None:
        return {}
    if not isinstance(payload, dict):
        raise invalid("properties", "an object")
    return payload


def _persons(
    event: str, item: Mapping[str, Any], payload: Mapping[str, Any]
) -> tuple[str | int | None, str | int | None]:
    """(visitor, user). PostHog has one id for both: a device's until somebody signs in, a user's from then on."""
    distinct = _first_person(
        item.get("distinct_id"),
        item.get("$distinct_id"),
        payload.get("$distinct_id"),
        payload.get("distinct_id"),
    )
    if mapping(item.get("options")).get("cookieless_mode") is True or payload.get("$cookieless_mode") is True:
        return None, None
    device = _first_person(payload.get("$device_id"), payload.get("$anon_distinct_id"))
    user = _first_person(payload.get("$user_id"))
    if event == "$groupidentify" and str(distinct).startswith("$"):  # `$company_42`: a group is no visitor
        return device, user
    if event == "$create_alias":
        user = user or _first_person(payload.get("alias"))
    elif event == "$identify" or (device is not None and distinct != device):
        user = user or distinct
    return (device if device is not None else distinct), user


def _first_person(*values: object) -> str | int | None:
    """The first id that stands for somebody."""
    for value in values:
        one = identifier(value)
        if one is not None and str(one).strip().lower() not in NOBODY:
            return one
    return None


def _waited(ask: Ask, offset: object) -> Moment | None:
    """When an event happened that says only how many ms it waited, as those of the browser's SDK do: by our clock, so
    there is nothing to correct. None where it says nothing."""
    if isinstance(offset, bool) or not isinstance(offset, (int, float)) or not 0 <= offset <= ask.now_ms:
        return None
    return Moment(ask.now_ms - int(offset))


def _library(ask: Ask, payload: Mapping[str, Any]) -> str | None:
    """What the SDK calls itself."""
    stated = ask.headers.get(b"posthog-sdk-info", b"").decode("latin-1").partition("/")[0]
    return first_text(payload.get("$lib"), stated)


def _source(ask: Ask, payload: Mapping[str, Any]) -> str:
    if b"origin" in ask.headers:
        return TAG
    library = _library(ask, payload)
    return TAG if library in CLIENT_LIBRARIES and payload.get("$is_server") is not True else SERVER


def _kept(event: str, name: str, item: Mapping[str, Any], payload: Mapping[str, Any]) -> dict[str, Any]:
    """What has no field of its own."""
    kept = {
        key: value
        for key, value in payload.items()
        if key not in MAPPED and not key.startswith(MAPPED_PREFIXES)
    }
    if event == "$create_alias":
        kept.pop("alias", None)
    if name == "identify":
        for given in (item.get("$set_once"), payload.get("$set_once"), item.get("$set"), payload.get("$set")):
            kept |= {key: value for key, value in mapping(given).items() if not key.startswith("$")}
    if name == "purchase" and event != "purchase":
        kept["original_event"] = event
    return kept
