"""An `EventBatch` on its way to becoming a clean pack: the columns of the event and those the steps found out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import chain, compress
from typing import Any

from schemas.clean_pack import CLEAN_COLUMNS
from schemas.drops import DropReason
from schemas.event import EVENT_FIELDS, Drop, EventBatch


@dataclass(frozen=True)
class CleanBatch(EventBatch):
    """Steps read the raw columns, fill the clean ones and empty what must not go further.

    A column is as long as the batch, or empty: then every event has the default ("" or 0) there.
    """

    fingerprint: list[bytes] = field(default_factory=list)  # 8 bytes: what the sender says, see steps.names
    ip_network: list[str] = field(default_factory=list)
    browser: list[str] = field(default_factory=list)
    os: list[str] = field(default_factory=list)
    device: list[str] = field(default_factory=list)
    host: list[str] = field(default_factory=list)
    path: list[str] = field(default_factory=list)
    query: list[str] = field(default_factory=list)
    referrer_host: list[str] = field(default_factory=list)
    channel: list[str] = field(default_factory=list)
    utm_source: list[str] = field(default_factory=list)
    utm_medium: list[str] = field(default_factory=list)
    utm_campaign: list[str] = field(default_factory=list)
    utm_term: list[str] = field(default_factory=list)
    utm_content: list[str] = field(default_factory=list)
    visitor: list[str] = field(default_factory=list)
    user: list[str] = field(default_factory=list)
    session: list[str] = field(default_factory=list)
    basis: list[str] = field(default_factory=list)
    purposes: list[str] = field(default_factory=list)
    bot_score: list[int] = field(default_factory=list)
    bot_signals: list[str] = field(default_factory=list)
    is_bot: list[bool] = field(default_factory=list)
    pack: list[int] = field(default_factory=list)  # which of the raw packs that are decided together
    sightings: tuple[Sighting, ...] = ()

    @classmethod
    def of(cls, batch: EventBatch) -> CleanBatch:
        """Begin with what the edge received, but for what no step looks at and no row has."""
        return cls._with({name: getattr(batch, name) for name in _BEGUN_WITH})

    @classmethod
    def of_run(cls, batches: Mapping[int, EventBatch]) -> CleanBatch:
        """The same for several packs, by their places in the run; the events stay in order."""
        if list(batches) == [0]:
            return cls.of(batches[0])
        columns: dict[str, Any] = {
            name: list(chain.from_iterable(getattr(one, name) for one in batches.values()))
            for name in _BEGUN_WITH
        }
        return cls._with({
            **columns, "pack": [place for place, one in batches.items() for _ in range(len(one))],
        })  # fmt: skip

    @classmethod
    def _with(cls, columns: Mapping[str, Any]) -> CleanBatch:
        """What the constructor makes of them, as in `replace`."""
        made = object.__new__(cls)
        made.__dict__.update({name: [] for name in COLUMNS}, drops=(), sightings=())
        made.__dict__.update(columns)
        return made

    def drop(self, reasons: Sequence[DropReason | None]) -> CleanBatch:
        """Leave out each event whose reason is not None, and count it under that reason. Needs the `key` column."""
        if not any(reasons):
            return self
        gone = tuple(
            Drop(
                self.key[i],
                self.received_at[i] // 60_000 * 60,
                self.site[i],
                self.name[i],
                self.source[i],
                reason,
                self.pack[i] if self.pack else 0,
            )
            for i, reason in enumerate(reasons)
            if reason is not None
        )
        kept = [reason is None for reason in reasons]
        columns: dict[str, Any] = {}
        for name in COLUMNS:  # about 40 columns in use, 2 µs each for 500 events
            column = getattr(self, name)
            if column:
                columns[name] = list(compress(column, kept))
        return replace(self, **columns, drops=self.drops + gone)

    def clean_columns(self) -> dict[str, list[Any]]:
        """The columns of the clean pack; nothing else of the batch leaves the program."""
        return {name: getattr(self, name) for name in _WRITTEN}


@dataclass(frozen=True, slots=True)
class Sighting:
    """A later copy of a stored event; the fields from `occurred_at` on are filled for secret sources only."""

    key: bytes
    event_id: str
    site: str
    name: str
    source: str
    protocol: str
    trust: str
    received_at: int
    occurred_at: int = 0
    value_e4: int = 0
    currency: str = ""
    user: str = ""
    properties: str = ""
    pack: int = 0  # as CleanBatch.pack


def replace(batch: CleanBatch, **columns: Any) -> CleanBatch:
    """The batch with other columns. Raises TypeError for a column it does not have.

    Like `dataclasses.replace`, which calls the constructor with all 53 fields: 24 µs where this takes 1.7, and a pack
    goes through thirteen steps, however few events are in it.
    """
    if not columns.keys() <= _FIELDS:
        raise TypeError(f"no such column: {', '.join(columns.keys() - _FIELDS)}")
    made = object.__new__(CleanBatch)
    made.__dict__.update(batch.__dict__, **columns)
    return made


_BEGUN_WITH = tuple(name for name in EVENT_FIELDS if name not in ("screen", "viewport", "timezone"))
_FIELDS = frozenset(one.name for one in fields(CleanBatch))
COLUMNS: tuple[str, ...] = tuple(
    one.name for one in fields(CleanBatch) if one.name not in ("drops", "sightings")
)
_WRITTEN = tuple(name for name in CLEAN_COLUMNS if name in COLUMNS)  # `country` has no source yet
