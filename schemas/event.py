"""One event as the edge received it, as a row (`Event`) and as columns (`EventBatch`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import IntFlag
from itertools import compress
from typing import Any

from schemas.drops import DropReason

EVENT_ID_LENGTH_MAX = 200  # characters; a longer id is replaced by its hash (docs/events.md)
NAME_LENGTH_MAX = 200  # characters
TEXT_LENGTH_MAX = 4_000  # characters of url, referrer, title, user agent; the rest is cut off
PROPERTIES_SIZE_MAX = 32_000  # characters of JSON text; a larger event is `oversize`
# Kind and name of a choice, made by the edge's own endpoint alone.
SYSTEM, CONSENT_CHOICE = "system", "consent_choice"
VALUE_E4_MAX = 10**14  # ten thousand million units of any currency; beyond it the event is invalid


class Flag(IntFlag):
    """Bits of the `flags` column."""

    GPC = 1
    DNT = 2
    PREFETCH = 4
    WEBDRIVER = 8
    MAIL_PROXY = 16
    TIME_CORRECTED = 32  # moved by the difference between the client's clock and ours
    TIME_CLAMPED = 64  # the claim lay in the future or before the retention
    ID_COLLISION = 128  # same id, other content: kept under its own id
    ID_GENERATED = 256  # the client sent no id; the edge made one
    MAIL_SCANNER = 512  # software that checks the links of mails
    # A text took more work to scrub than an event may: it is masked or left out as a whole.
    MASKED_WHOLE = 1024
    TIME_UNIT = 2048  # the claim was a number in another unit than its field's; read by its size
    # The SDK of an app sent it and named itself: a person's, whatever library carries its requests.
    APP = 4096
    CONSENT_MISPLACED = (
        8192  # a TC string stood where a GPP string belongs, or the other way round; it was read
    )


@dataclass(frozen=True, slots=True)
class Event:
    """One event before any policy; times in ms since 1970, 0 or "" where nobody said anything."""

    event_id: str = ""
    site: str = ""
    name: str = ""
    kind: str = ""  # page, custom, purchase, identify, mail, system
    source: str = ""  # pixel, tag, server, email, log, direct, import
    protocol: str = ""  # native, segment, snowplow, ...
    trust: str = ""  # public, secret
    occurred_at: int = 0  # the client's claim, not yet corrected; 0: none
    sent_at: int = 0
    received_at: int = 0
    ip: str = ""
    user_agent: str = ""
    language: str = ""
    url: str = ""
    referrer: str = ""
    title: str = ""
    visitor_id: str = ""
    user_id: str = ""
    session_id: str = ""
    consent: str = ""  # signals as received, see consent.encode_signals
    flags: int = 0
    screen: str = ""
    viewport: str = ""
    timezone: str = ""
    value_e4: int = 0  # ten-thousandths of the currency's unit, exact
    currency: str = ""
    properties: str = ""  # JSON text of an object, or ""


EVENT_FIELDS: tuple[str, ...] = tuple(f.name for f in fields(Event))


@dataclass(frozen=True, slots=True)
class Drop:
    """One event that ended without a row: what remains of it is a keyed hash and the reason."""

    key: bytes  # 16 bytes, identity.event_key
    minute: int  # of receipt, seconds since 1970
    site: str
    name: str
    source: str
    reason: DropReason
    pack: int = 0  # which of the raw packs that were decided together, from 0


@dataclass(frozen=True)  # no slots: a step copies its dictionary
class EventBatch:
    """The fields of `Event` as equally long columns, the keys of the events, and what was dropped so far.

    `len(batch) + len(batch.drops)` stays the same from the first step of a pipeline to the last.
    """

    event_id: list[str] = field(default_factory=list)
    site: list[str] = field(default_factory=list)
    name: list[str] = field(default_factory=list)
    kind: list[str] = field(default_factory=list)
    source: list[str] = field(default_factory=list)
    protocol: list[str] = field(default_factory=list)
    trust: list[str] = field(default_factory=list)
    occurred_at: list[int] = field(default_factory=list)
    sent_at: list[int] = field(default_factory=list)
    received_at: list[int] = field(default_factory=list)
    ip: list[str] = field(default_factory=list)
    user_agent: list[str] = field(default_factory=list)
    language: list[str] = field(default_factory=list)
    url: list[str] = field(default_factory=list)
    referrer: list[str] = field(default_factory=list)
    title: list[str] = field(default_factory=list)
    visitor_id: list[str] = field(default_factory=list)
    user_id: list[str] = field(default_factory=list)
    session_id: list[str] = field(default_factory=list)
    consent: list[str] = field(default_factory=list)
    flags: list[int] = field(default_factory=list)
    screen: list[str] = field(default_factory=list)
    viewport: list[str] = field(default_factory=list)
    timezone: list[str] = field(default_factory=list)
    value_e4: list[int] = field(default_factory=list)
    currency: list[str] = field(default_factory=list)
    properties: list[str] = field(default_factory=list)
    key: list[bytes] = field(default_factory=list)  # identity.event_keys; empty until a step fills it
    drops: tuple[Drop, ...] = ()

    @classmethod
    def of_columns(cls, columns: Mapping[str, list[Any]]) -> EventBatch:
        """The batch of all columns named as in `Event`: what the constructor makes of them, for 1 µs instead of 5."""
        made = object.__new__(EventBatch)
        made.__dict__.update(columns, key=[], drops=())
        return made

    def __len__(self) -> int:
        return len(self.event_id)

    @property
    def dropped(self) -> Counter[DropReason]:
        """How many events were dropped so far, by reason."""
        return Counter(drop.reason for drop in self.drops)

    @classmethod
    def from_events(cls, events: Iterable[Event]) -> EventBatch:
        """Turn rows into columns."""
        rows = list(events)
        columns: dict[str, Any] = {name: [getattr(row, name) for row in rows] for name in EVENT_FIELDS}
        return cls(**columns)

    def to_events(self) -> list[Event]:
        """Turn columns back into rows; for tests and tools, not for the hot path."""
        columns = [getattr(self, name) for name in EVENT_FIELDS]
        return [Event(*row) for row in zip(*columns, strict=True)]

    def drop(self, reasons: Sequence[DropReason | None]) -> EventBatch:
        """Leave out each event whose reason is not None, and count it under that reason.

        reasons: one for each event, in order. Needs the `key` column.
        """
        if not any(reasons):
            return self
        gone = tuple(
            Drop(
                self.key[i], self.received_at[i] // 60_000 * 60, self.site[i], self.name[i], self.source[i], r
            )
            for i, r in enumerate(reasons)
            if r is not None
        )
        kept = [reason is None for reason in reasons]
        columns = {
            name: list(compress(getattr(self, name), kept)) for name in (*EVENT_FIELDS, "key")
        }  # 28 columns, about 2 µs each for 500 events
        return replace(self, **columns, drops=self.drops + gone)
