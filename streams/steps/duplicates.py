"""Tells copies of a stored event from new events, and leaves a sighting of each copy."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

from schemas.clean_pack import SOURCE_CODE
from schemas.drops import DropReason
from schemas.event import Flag
from schemas.identity import event_keys
from streams.columns.batch import CleanBatch, Sighting, replace
from streams.rules import Rules

PURCHASE = "purchase"  # the event name


class Known(NamedTuple):
    """A stored event: the code of its source and the fingerprint of what that source said."""

    source: int
    fingerprint: bytes


LookUp = Callable[[Sequence[bytes]], Sequence[Known | None]]  # what is stored of each key within the window


def drop_duplicates(rules: Rules, look_up: LookUp, batch: CleanBatch) -> CleanBatch:
    """Drop copies of what an accepted pack, or an earlier place in this pack, stored.

    Same key, same source, other words: another event. It is kept under its id, `~` and eight hex digits of its
    fingerprint, unless that one is stored too. But the id of a purchase names one order: what a secret source says of
    it anew is a correction, which a sighting keeps (the view `purchases` lets the newest speak).
    """
    stored = look_up(batch.key)
    if not any(stored) and len(set(batch.key)) == len(batch):
        return batch  # the common case: nothing to tell apart
    batch = _rename_collisions(rules, stored, batch)
    stored = look_up(batch.key)
    own: set[bytes] = set()
    reasons: list[DropReason | None] = []
    for key, known in zip(batch.key, stored, strict=True):
        copy = known is not None or key in own
        own.add(key)
        reasons.append(DropReason.DUPLICATE if copy else None)
    seen_again = tuple(_sighting(batch, i) for i, reason in enumerate(reasons) if reason)
    return replace(batch.drop(reasons), sightings=batch.sightings + seen_again)


def _rename_collisions(rules: Rules, stored: Sequence[Known | None], batch: CleanBatch) -> CleanBatch:
    first: dict[bytes, Known] = {}
    renamed: dict[int, str] = {}
    for i, (key, source, fingerprint) in enumerate(
        zip(batch.key, batch.source, batch.fingerprint, strict=True)
    ):
        this = Known(SOURCE_CODE.get(source, b"\0")[0], fingerprint)
        before = stored[i] or first.setdefault(key, this)
        corrects = batch.name[i] == PURCHASE and batch.trust[i] == "secret"
        if before.source == this.source and before.fingerprint != this.fingerprint and not corrects:
            renamed[i] = f"{batch.event_id[i]}~{fingerprint[:4].hex()}"
    if not renamed:
        return batch
    event_id, key_column, flags = list(batch.event_id), list(batch.key), list(batch.flags)
    sites, names = [batch.site[i] for i in renamed], [batch.name[i] for i in renamed]
    new_keys = event_keys(rules.identity_secret, sites, names, list(renamed.values()))
    for (i, new_id), new_key in zip(renamed.items(), new_keys, strict=True):
        event_id[i], key_column[i], flags[i] = new_id, new_key, flags[i] | int(Flag.ID_COLLISION)
    return replace(batch, event_id=event_id, key=key_column, flags=flags)


def _sighting(batch: CleanBatch, i: int) -> Sighting:
    named = Sighting(
        batch.key[i], batch.event_id[i], batch.site[i], batch.name[i], batch.source[i],
        batch.protocol[i], batch.trust[i], batch.received_at[i], pack=batch.pack[i] if batch.pack else 0,
    )  # fmt: skip
    if batch.trust[i] != "secret":
        return named
    return dataclasses.replace(
        named,
        occurred_at=batch.occurred_at[i],
        value_e4=batch.value_e4[i],
        currency=batch.currency[i],
        user=batch.user[i] if batch.user else "",
        properties=batch.properties[i] if batch.properties else "",
    )
