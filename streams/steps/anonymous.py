"""Takes from an event without agreement everything that could lead to a person."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import orjson

from schemas.consent import Basis
from schemas.event import SYSTEM
from streams.batch import CleanBatch, replace
from streams.steps.consent import is_choice

# What the clean pack has on a person or their way here. The contract basis keeps an order, not who looked at what.
PERSONAL = (
    "visitor", "user", "session", "ip_network", "query",
    "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "os",
)  # fmt: skip
_CONSENTED, _CONTRACT = str(Basis.CONSENTED), str(Basis.CONTRACT)
_PERSONAL_NAME = re.compile(
    r"(?i)user|visitor|customer|client|person|member|account|subject|mail|phone|mobile|address|birth|gender"
    r"|first_?name|last_?name|full_?name|surname|session|cookie|device_?id|(?:^|_)(?:ip|uid|name|age|lat|lon|lng)(?:$|_)"
)


def coarse_browser(browser: str) -> str:
    """The family without its version: `Chrome Mobile 142` -> `Chrome Mobile`."""
    family, _, version = browser.rpartition(" ")
    return family if family and version.isdigit() else browser


def coarse_language(language: str) -> str:
    """The language without country and weights: `de-AT,de;q=0.9` -> `de`."""
    return language.split(",", 1)[0].split(";", 1)[0].split("-", 1)[0].strip()[:8].lower()


def coarse_properties(text: str) -> str:
    """Properties (scrubbed JSON of an object) without those whose name, at any depth, says that they lead to a
    person."""
    if not text or not _PERSONAL_NAME.search(text):
        return text
    kept = _without_persons(orjson.loads(text))
    return orjson.dumps(kept).decode() if kept else ""


def _without_persons(value: Any) -> Any:
    """The edge takes nothing that is nested deeper than 254, so this goes no deeper either."""
    match value:
        case dict():
            named = {name: one for name, one in value.items() if not _PERSONAL_NAME.search(name)}
            return {name: _without_persons(one) for name, one in named.items()}
        case list():
            return [_without_persons(one) for one in value]
    return value


COARSE = {"browser": coarse_browser, "language": coarse_language, "properties": coarse_properties}


def forget_persons(batch: CleanBatch) -> CleanBatch:
    """Empty the personal columns and make browser and language coarse, for every basis but consent."""
    stays = [basis == _CONSENTED for basis in batch.basis]
    if all(stays):
        return batch

    def where_due(name: str, rule: Callable[[str], str]) -> list[str]:
        column: list[str] = getattr(batch, name)
        if not column:
            return column
        return [one if stay or not one else rule(one) for one, stay in zip(column, stays, strict=True)]

    columns: dict[str, Any] = {name: where_due(name, lambda _: "") for name in PERSONAL}
    if SYSTEM in batch.kind and batch.visitor:  # a choice proves nothing without whose it is
        kept = [basis == _CONTRACT and is_choice(batch, i) for i, basis in enumerate(batch.basis)]
        visitors = zip(batch.visitor, columns["visitor"], kept, strict=True)
        columns["visitor"] = [whose if stay else emptied for whose, emptied, stay in visitors]
    columns |= {name: where_due(name, rule) for name, rule in COARSE.items()}
    return replace(batch, **columns)
