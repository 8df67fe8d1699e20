"""What GA4's Measurement Protocol allows, and what its debug endpoint says of the rest (docs/protocols/ga4.md).

A fatal problem ends an event, or all of a request's where it names no event. The others are shown to developers only:
a long parameter is worth keeping here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ingest.reading.fields import Rejection

EVENT_COUNT_MAX = 25
PARAM_COUNT_MAX = 25
USER_PROPERTY_COUNT_MAX = 25
NAME_LENGTH_MAX = 40
PARAM_VALUE_LENGTH_MAX = 100
USER_PROPERTY_NAME_LENGTH_MAX = 24
USER_PROPERTY_VALUE_LENGTH_MAX = 36
BODY_BYTES_MAX = 130_000
AGE_MS_MAX = 72 * 3_600_000
SHOWN_MAX = 100  # messages of one answer
LONG_PARAMS = frozenset({"page_location", "page_referrer", "page_title"})  # GA4 gives these more room
NAME = re.compile(r"[^\W\d_]\w*")
RESERVED_PREFIXES = ("_", "firebase_", "ga_", "google_", "gtag.")
RESERVED_EVENTS = frozenset({
    "ad_activeview", "ad_click", "ad_exposure", "ad_query", "ad_reward", "adunit_exposure", "app_clear_data",
    "app_exception", "app_install", "app_remove", "app_store_refund", "app_update", "app_upgrade",
    "dynamic_link_app_open", "dynamic_link_app_update", "dynamic_link_first_open", "error", "firebase_campaign",
    "firebase_in_app_message_action", "firebase_in_app_message_dismiss", "firebase_in_app_message_impression",
    "first_open", "first_visit", "in_app_purchase", "notification_dismiss", "notification_foreground",
    "notification_open", "notification_receive", "os_update", "session_start", "session_start_with_rollout",
    "user_engagement",
})  # fmt: skip
RESERVED_USER_PROPERTIES = frozenset({
    "first_open_time", "first_visit_time", "last_deep_link_referrer", "user_id", "first_open_after_install",
})  # fmt: skip


class Problem(NamedTuple):
    """One thing that is wrong."""

    path: str
    code: str  # one of GA4's validation codes
    description: str
    fatal: bool = True
    event: int | None = None  # None: the whole request

    @property
    def shown(self) -> dict[str, str]:
        """As the debug endpoint shows it."""
        return {"fieldPath": self.path, "description": self.description, "validationCode": self.code}

    @property
    def rejection(self) -> Rejection:
        """As it is counted."""
        return Rejection("invalid_field", "The event cannot be read.", f"{self.path}: {self.description}")


def check_request(body: Any, size_bytes: int, now_ms: int) -> Iterator[Problem]:
    """Everything that is wrong with a request, its own problems first.

    body: as JSON gave it; size_bytes: of the text it came as.
    """
    if size_bytes > BODY_BYTES_MAX:
        yield Problem("body", "VALUE_OUT_OF_BOUNDS", f"expected at most {BODY_BYTES_MAX:,} bytes")
    if not isinstance(body, dict):
        yield Problem("body", "VALUE_INVALID", "expected a JSON object")
        return
    yield from _check_client(body)
    yield from _check_time(body, "timestamp_micros", now_ms, None)
    yield from _check_user_properties(body.get("user_properties"))
    yield from _check_consent(body.get("consent"))
    events = body.get("events")
    if not isinstance(events, list) or not events:
        yield Problem("events", "VALUE_REQUIRED", f"expected a list of 1 to {EVENT_COUNT_MAX} events")
        return
    for index, event in enumerate(events):
        yield from _check_event(event, index, now_ms)


def read_micros(value: Any) -> int | None:
    """A time in microseconds, a number or its digits, in ms; 0 for none, None where it cannot be read."""
    if value is None or value == "":
        return 0
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 17:
        return int(value) // 1_000
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 10**17:
        return int(value) // 1_000
    return None


def find_duplicates(body: bytes) -> list[Problem]:
    """Names that stand twice in one object, of which JSON readers keep the last."""
    found: list[Problem] = []

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = dict(pairs)
        if len(names) < len(pairs):
            found.append(Problem("body", "NAME_DUPLICATED", "expected each name once in an object", False))
        return names

    try:
        json.loads(body, object_pairs_hook=collect)
    except (ValueError, RecursionError):
        return []
    return found[:1]


def _check_client(body: Mapping[str, Any]) -> Iterator[Problem]:
    if not _is_id(body.get("client_id")) and not _is_id(body.get("app_instance_id")):
        yield Problem("client_id", "VALUE_REQUIRED", "expected text, or app_instance_id for an app")
    if body.get("user_id") is not None and not _is_id(body["user_id"]):
        yield Problem("user_id", "VALUE_INVALID", "expected text")


def _is_id(value: Any) -> bool:
    return isinstance(value, (str, int)) and not isinstance(value, bool) and value != ""


def _check_time(holder: Mapping[str, Any], path: str, now_ms: int, event: int | None) -> Iterator[Problem]:
    ms = read_micros(holder.get("timestamp_micros"))
    if ms is None:
        yield Problem(path, "VALUE_INVALID", "expected microseconds since 1970", True, event)
    elif ms and not 0 <= now_ms - ms <= AGE_MS_MAX:
        yield Problem(path, "VALUE_OUT_OF_BOUNDS", "expected a time of the last 72 hours", False, event)


def _check_consent(consent: Any) -> Iterator[Problem]:
    if consent is None:
        return
    if not isinstance(consent, dict):
        yield Problem("consent", "VALUE_INVALID", "expected an object", False)
        return
    for name in ("ad_user_data", "ad_personalization"):
        if name in consent and consent[name] not in ("GRANTED", "DENIED"):
            yield Problem(f"consent.{name}", "VALUE_INVALID", "expected GRANTED or DENIED", False)


def _check_user_properties(given: Any) -> Iterator[Problem]:
    if given is None:
        return
    if not isinstance(given, dict):
        yield Problem("user_properties", "VALUE_INVALID", "expected an object", False)
        return
    if len(given) > USER_PROPERTY_COUNT_MAX:
        yield Problem(
            "user_properties", "EXCEEDED_MAX_ENTITIES", f"expected at most {USER_PROPERTY_COUNT_MAX}", False
        )
    for name, holder in list(given.items())[:USER_PROPERTY_COUNT_MAX]:
        yield from _check_name(
            name, "user_properties", USER_PROPERTY_NAME_LENGTH_MAX, RESERVED_USER_PROPERTIES, None
        )
        value = holder.get("value") if isinstance(holder, dict) else None
        if isinstance(value, str) and len(value) > USER_PROPERTY_VALUE_LENGTH_MAX:
            description = f"expected values of at most {USER_PROPERTY_VALUE_LENGTH_MAX} characters"
            yield Problem("user_properties", "VALUE_OUT_OF_BOUNDS", description, False)


def _check_event(event: Any, index: int, now_ms: int) -> Iterator[Problem]:
    path = f"events[{index}]"
    if index >= EVENT_COUNT_MAX:
        yield Problem(
            "events", "EXCEEDED_MAX_ENTITIES", f"expected at most {EVENT_COUNT_MAX} events", True, index
        )
        return
    if not isinstance(event, dict):
        yield Problem(path, "VALUE_INVALID", "expected an object with name and params", True, index)
        return
    if not event.get("name"):
        yield Problem(f"{path}.name", "VALUE_REQUIRED", "expected the event's name", True, index)
    else:
        for problem in _check_name(event["name"], f"{path}.name", NAME_LENGTH_MAX, RESERVED_EVENTS, index):
            yield problem._replace(fatal=True)
    yield from _check_time(event, f"{path}.timestamp_micros", now_ms, index)
    params = event.get("params")
    if params is None:
        return
    if not isinstance(params, dict):
        yield Problem(f"{path}.params", "VALUE_INVALID", "expected an object", True, index)
        return
    yield from _check_params(params, f"{path}.params", index)


def _check_params(params: Mapping[str, Any], path: str, index: int) -> Iterator[Problem]:
    if len(params) > PARAM_COUNT_MAX:
        yield Problem(path, "EXCEEDED_MAX_ENTITIES", f"expected at most {PARAM_COUNT_MAX}", False, index)
    for name, value in list(params.items())[:PARAM_COUNT_MAX]:
        yield from _check_name(name, path, NAME_LENGTH_MAX, frozenset(), index)
        if isinstance(value, str) and len(value) > PARAM_VALUE_LENGTH_MAX and name not in LONG_PARAMS:
            description = f"expected values of at most {PARAM_VALUE_LENGTH_MAX} characters"
            yield Problem(path, "VALUE_OUT_OF_BOUNDS", description, False, index)


def _check_name(
    name: Any, path: str, length_max: int, reserved: frozenset[str], event: int | None
) -> Iterator[Problem]:
    if not isinstance(name, str) or len(name) > length_max or not NAME.fullmatch(name.lstrip("_")):
        description = f"expected letters, digits and _, a letter first, at most {length_max} characters"
        yield Problem(path, "NAME_INVALID", description, False, event)
    elif name in reserved or name.startswith(RESERVED_PREFIXES):
        yield Problem(
            path, "NAME_RESERVED", "expected a name that GA4 does not keep for itself", False, event
        )
