"""The consent categories of other platforms as our purposes, where every name is well known; else as they came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from ingest.reading.fields import parse_signals
from schemas.consent import OTHER_SIGNALS, Purpose

# Names as consent managers write them, without case, spaces, - and _.
PURPOSE_OF: Mapping[str, Purpose] = {
    **dict.fromkeys(("necessary", "essential", "strictlynecessary", "required"), Purpose.NECESSARY),
    **dict.fromkeys(
        (
            "measurement",
            "analytics",
            "analyticsstorage",
            "performance",
            "statistics",
            "statistical",
            "metrics",
        ),
        Purpose.MEASUREMENT,
    ),
    **dict.fromkeys(
        ("personalisation", "personalization", "functional", "functionality", "preferences"),
        Purpose.PERSONALISATION,
    ),
    **dict.fromkeys(
        ("marketing", "advertising", "advertisement", "ads", "targeting", "adstorage", "retargeting"),
        Purpose.MARKETING,
    ),
}
_FOLD = str.maketrans("", "", " -_")


def consent_signals(consent: object) -> str:
    """The signals of a client's consent field, as `fields.parse_signals` gives them; "" where it says nothing.

    consent: `{"categoryPreferences": {name: bool}}`, such an object by itself, a text as in our own `consent`, or
    `{"allowedConsentIds": [...], "deniedConsentIds": [...]}`. Signals such as `gpp` beside it travel along.
    """
    if not isinstance(consent, dict):
        return parse_signals({"consent": consent})
    others = {name: consent[name] for name in OTHER_SIGNALS if name in consent}
    return parse_signals({**others, **_choice(consent)})


def _choice(consent: Mapping[str, Any]) -> dict[str, Any]:
    if "allowedConsentIds" in consent or "deniedConsentIds" in consent:
        denied = dict.fromkeys(_names(consent.get("deniedConsentIds")), False)
        return read_preferences({**dict.fromkeys(_names(consent.get("allowedConsentIds")), True), **denied})
    if "categoryPreferences" in consent:
        return read_preferences(consent["categoryPreferences"])
    beside = {name: value for name, value in consent.items() if name not in OTHER_SIGNALS}
    return read_preferences(beside)


def read_preferences(preferences: object) -> dict[str, Any]:
    """`{"analytics": true, ...}` as a choice of purposes.

    Where a name is not known, or none of them speaks of measurement, the signal `categories`: it can take data away,
    and gives none. Several names of one purpose must all be granted.
    """
    if preferences is None or preferences == {}:
        return {}
    if not isinstance(preferences, dict) or not all(isinstance(one, bool) for one in preferences.values()):
        return {"categories": "unclear"}
    purposes = {name: PURPOSE_OF.get(name.lower().translate(_FOLD)) for name in preferences}
    if None in purposes.values() or Purpose.MEASUREMENT not in purposes.values():
        return {"categories": orjson.dumps(preferences, option=orjson.OPT_SORT_KEYS).decode()}
    denied = {purposes[name] for name, granted in preferences.items() if not granted}
    given = [one for one in Purpose if one in purposes.values() and one not in denied]
    return {"consent": ",".join(given) or "none"}


def _names(ids: object) -> list[str]:
    """Consent ids as a list, or as an object's values (Ketch)."""
    if isinstance(ids, dict):
        ids = list(ids.values())
    return [one for one in ids if isinstance(one, str)] if isinstance(ids, list) else []
