"""Self-describing JSON inside Snowplow events: the event itself, its contexts, and what they say of consent."""

from __future__ import annotations

import base64
import binascii
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

from ingest.protocols.categories import read_preferences
from ingest.protocols.payload import load_json
from ingest.reading.fields import Unacceptable, invalid

SCHEMA = re.compile(r"iglu:([^/]+)/([^/]+)/[^/]+/\d+-\d+-\d+")
CONTEXT_COUNT_MAX = 200  # contexts of an event; beyond it the event is refused
# Advertising identifiers tell machines apart; the session's context fills columns of its own.
LEFT_OUT = frozenset({"openIdfa", "androidIdfa", "appleIdfa", "appleIdfv"})
COLUMN_CONTEXTS = frozenset({"client_session"})
# Consent written down without a purpose: known to be there, not understood (docs/consent.md).
UNCLEAR_CONTEXTS = frozenset({"consent_document", "gdpr"})


class Entity(NamedTuple):
    """One self-describing JSON."""

    name: str  # the third word of its schema
    data: dict[str, Any]


def read_self_describing(plain: str | None, encoded: str | None) -> Entity:
    """The event inside `ue_pr` (JSON) or `ue_px` (base64). Raises Unacceptable."""
    outer = _load(plain, encoded, "ue_pr", "ue_px")
    inner = outer.get("data") if isinstance(outer, dict) else None
    return _entity(inner, "ue_px" if encoded else "ue_pr")


def read_contexts(plain: str | None, encoded: str | None) -> list[Entity]:
    """The contexts inside `co` (JSON) or `cx` (base64). Raises Unacceptable: an unreadable one may hold a refusal."""
    if not plain and not encoded:
        return []
    field = "cx" if encoded else "co"
    outer = _load(plain, encoded, "co", "cx")
    found = outer.get("data") if isinstance(outer, dict) else None
    if not isinstance(found, list) or len(found) > CONTEXT_COUNT_MAX:
        raise invalid(field, f"at most {CONTEXT_COUNT_MAX} contexts, each with schema and data")
    return [_entity(one, field) for one in found]


def flatten(contexts: list[Entity]) -> dict[str, Any]:
    """Contexts as properties `<name>.<field>`; several of one name (products) as a list under that name.

    Flat, so that the rule that looks at the names of properties sees each of them.
    """
    by_name: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in contexts:
        if one.name not in COLUMN_CONTEXTS:
            by_name[one.name].append({key: value for key, value in one.data.items() if key not in LEFT_OUT})
    flat: dict[str, Any] = {}
    for name, found in by_name.items():
        if len(found) > 1:
            flat[name] = found
        else:
            flat |= {f"{name}.{key}": value for key, value in found[0].items()}
    return flat


def consent_of(event: Entity | None, contexts: list[Entity]) -> dict[str, str]:
    """The consent signals of an event: `consent` where a choice is clear, `categories` where one is there and is not.

    Clear are `deny_all`, `withdrawn`, `allow_all`, a withdrawal of all, and a selection of scopes with known names.
    """
    found = [_signals_of(one) for one in (event, *contexts) if one is not None]
    choices = {one["consent"] for one in found if "consent" in one}
    categories = {one["categories"] for one in found if "categories" in one}
    if "none" in choices:
        return {"consent": "none"}
    if len(choices) > 1 or len(categories) > 1:
        return {"categories": "unclear"}
    signals = {"consent": choices.pop()} if choices else {}
    return signals | {"categories": categories.pop()} if categories else signals


def _signals_of(one: Entity) -> dict[str, Any]:
    if one.name in UNCLEAR_CONTEXTS or one.name == "consent_granted":
        return {"categories": "unclear"}
    if one.name == "consent_withdrawn":
        return {"consent": "none"} if one.data.get("all") is True else {"categories": "unclear"}
    if one.name != "consent_preferences":
        return {}
    match one.data.get("eventType"):
        case "deny_all" | "withdrawn":
            return {"consent": "none"}
        case "allow_all":
            return {"consent": "all"}
        case "allow_selected":
            return _selected(one.data.get("consentScopes"))
    return {"categories": "unclear"}


def _selected(scopes: object) -> dict[str, Any]:
    """A selection: what is not in it is denied, which is clear where every name in it is known."""
    if not isinstance(scopes, list) or not scopes or not all(isinstance(scope, str) for scope in scopes):
        return {"categories": "unclear"}
    granted = dict.fromkeys(scopes, True)
    signals = read_preferences(granted)
    if "consent" in signals:
        return signals
    without = read_preferences(granted | {"measurement": False})
    return without if "consent" in without else signals


def _entity(value: object, field: str) -> Entity:
    schema: object = value.get("schema") if isinstance(value, Mapping) else None
    data: object = value.get("data") if isinstance(value, Mapping) else None
    found = SCHEMA.fullmatch(schema) if isinstance(schema, str) else None
    if found is None or not isinstance(data, dict):
        raise invalid(field, "self-describing JSON: a schema iglu:vendor/name/jsonschema/1-0-0 and its data")
    return Entity(found[2], data)


def _load(plain: str | None, encoded: str | None, plain_key: str, encoded_key: str) -> Any:
    if encoded:
        return _load_text(_decode(encoded, encoded_key), encoded_key)
    return _load_text(plain or "", plain_key)


def _load_text(text: bytes | str, field: str) -> Any:
    try:
        return load_json(text, field)
    except Unacceptable:
        raise invalid(field, "JSON, as it is or in base64") from None


def _decode(text: str, field: str) -> bytes:
    """Base64, standard or URL-safe, padded or not; a `+` that a query turned into a space is a `+` again."""
    standard = text.translate(_TO_STANDARD)
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise invalid(field, "JSON in base64") from None


_TO_STANDARD = str.maketrans("-_ ", "+/+")
