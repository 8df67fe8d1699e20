"""Takes from an event without agreement everything that could lead to a person."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from schemas.consent import Basis
from schemas.event import SYSTEM
from streams.columns.batch import CleanBatch, replace
from streams.columns.joined import Joined, compile_linear
from streams.steps.consent import is_choice

# What the clean pack has on a person or their way here. The contract basis keeps an order, not who looked at what.
PERSONAL = (
    "visitor", "user", "session", "ip_network", "query",
    "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "os",
)  # fmt: skip
_CONSENTED, _CONTRACT = str(Basis.CONSENTED), str(Basis.CONTRACT)
# A name, in quotes as in JSON, that speaks of a person.
_PERSONAL_NAME = compile_linear(
    r"user|visitor|customer|client|person|member|account|subject|mail|phone|mobile|address|birth|gender"
    r"|first_?name|last_?name|full_?name|surname|session|cookie|device_?id"
    r"|[_\"](?:uid|name|age|lat|lon|lng)[_\"]"
    # REMOTE_ADDR, X-Forwarded-For, clientIp: where servers put an address.
    r"|remote.?addr|peer.?addr|ip.?addr|forwarded|xff|(?:[_\".-]|remote|source|src|origin|peer|real)ip(?:v[46])?[_\".-]"
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
    return coarse_all_properties([text])[0]


def coarse_all_properties(texts: Sequence[str]) -> list[str]:
    """`coarse_properties` of each."""
    coarse = list(texts)
    suspicious = set(Joined([text.casefold() for text in texts]).found(_PERSONAL_NAME))
    # An escape may hide a name from a look at the text.
    objects = {i: orjson.loads(text) for i, text in enumerate(texts) if i in suspicious or "\\" in text}
    if not objects:
        return coarse
    names = list(set().union(*map(_names, objects.values())))
    quoted = Joined([f'"{name.casefold()}"' for name in names])
    personal = {names[i] for i in quoted.found(_PERSONAL_NAME)}
    for i, value in objects.items():
        kept = _without(personal, value)
        coarse[i] = orjson.dumps(kept).decode() if kept else ""
    return coarse


def _names(value: Any) -> set[str]:
    """Every name in it, at any depth."""
    names: set[str] = set()
    level: list[Any] = [value]
    while level:
        deeper: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                names.update(one)
                deeper += one.values()
            elif isinstance(one, list):
                deeper += one
        level = deeper
    return names


def _without(personal: set[str], value: Any) -> Any:
    """Scrubbing let nothing through that is nested too deep for this."""
    match value:
        case dict():
            return {name: _without(personal, one) for name, one in value.items() if name not in personal}
        case list():
            return [_without(personal, one) for one in value]
    return value


COARSE = {"browser": coarse_browser, "language": coarse_language}


def forget_persons(batch: CleanBatch) -> CleanBatch:
    """Empty the personal columns and make browser and language coarse, for every basis but consent."""
    stays = [basis == _CONSENTED for basis in batch.basis]
    if all(stays):
        return batch

    due = [i for i, stay in enumerate(stays) if not stay]

    def where_due(name: str, rule: Callable[[str], str]) -> list[str]:
        column: list[str] = getattr(batch, name).copy()
        if column:
            found = {text: rule(text) for text in {column[i] for i in due}}  # a pack repeats few
            for i in due:
                column[i] = found[column[i]]
        return column

    def emptied(name: str) -> list[str]:
        column: list[str] = getattr(batch, name).copy()
        if column:
            for i in due:
                column[i] = ""
        return column

    columns: dict[str, Any] = {name: emptied(name) for name in PERSONAL}
    if SYSTEM in batch.kind and batch.visitor:  # a choice proves nothing without whose it is
        kept = [basis == _CONTRACT and is_choice(batch, i) for i, basis in enumerate(batch.basis)]
        visitors = zip(batch.visitor, columns["visitor"], kept, strict=True)
        columns["visitor"] = [whose if stay else emptied for whose, emptied, stay in visitors]
    columns |= {name: where_due(name, rule) for name, rule in COARSE.items()}
    if batch.properties:
        filled = [i for i in due if batch.properties[i]]
        properties = list(batch.properties)
        for i, text in zip(filled, coarse_all_properties([properties[i] for i in filled]), strict=True):
            properties[i] = text
        columns["properties"] = properties
    return replace(batch, **columns)
