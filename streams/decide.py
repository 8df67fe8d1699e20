"""One raw message in, one clean pack out, also when nothing in it survives or nobody could read it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from typing import Protocol

from runtime.logs import get_logger
from schemas.avro_codec import PackError
from schemas.clean_pack import SIGHTING_COLUMNS, SOURCE_CODE, CleanHead, CleanPack, encode_clean_pack
from schemas.drops import DeadReason
from schemas.links import Origin, Position
from schemas.pack import RawPack, decode_raw_pack
from schemas.ring import Ring
from schemas.seal import Envelope, open_seal, read_envelope
from schemas.topics import CLEAN_SIZE_MAX
from streams.columns.batch import CleanBatch, Sighting
from streams.fault import BrokenDependency, where
from streams.pipeline import Step, build_pipeline, clean
from streams.rules import Rules
from streams.steps.duplicates import LookUp

_SIGHTING_FIELDS = tuple(one.name for one in fields(Sighting))
assert tuple(f"sighting_{name}" for name in _SIGHTING_FIELDS) == SIGHTING_COLUMNS

SIZE_MAX = CLEAN_SIZE_MAX - 10_000  # bytes before compression; the broker counts its own header too


@dataclass(frozen=True, slots=True)
class Place:
    """Where a clean pack stands: which raw message it answers, who writes it, what it follows."""

    origin: Origin
    writer: str
    link: Position | None


@dataclass(frozen=True, slots=True)
class Decided:
    """A clean pack, its bytes, and what it stores: key -> 25 bytes, as in `kept`."""

    pack: CleanPack
    value: bytes
    entries: dict[bytes, bytes] = field(default_factory=dict)


class Opener(Protocol):
    """Opens sealed packs; may fetch the ring anew when a key is missing."""

    def __call__(self, envelope: Envelope) -> bytes: ...


def open_with(ring: Ring) -> Opener:
    """An opener for a ring that stays as it is."""
    return partial(open_seal, ring=ring)


def decide(
    value: bytes,
    place: Place,
    *,
    open_pack: Opener,
    rules: Rules,
    look_up: LookUp,
    has_pack: Callable[[str], bool],
    run: Callable[[CleanBatch, tuple[Step, ...]], CleanBatch] = clean,
    size_max: int = SIZE_MAX,
) -> Decided:
    """Decide one raw message; raises only BrokenDependency.

    A repeat gives an empty pack that says so. So does a message nobody can read, also one that decodes to something no
    step knows what to do with: it waits among the dead letters for a better program, and those behind it go on.
    """
    head = CleanHead(place.origin, place.writer, place.link)
    try:
        envelope = read_envelope(value)
    except PackError as error:
        return _empty(replace(head, dead=str(error.reason)), rules)
    head = replace(head, pack_id=envelope.pack_id.hex(), accepted=envelope.accepted)
    try:
        raw = decode_raw_pack(open_pack(envelope))
        check(raw)
    except PackError as error:
        return _empty(replace(head, dead=str(error.reason)), rules)
    try:
        return _decide_events(replace(head, edge=raw.edge), raw, rules, look_up, has_pack, run, size_max)
    except BrokenDependency:
        raise
    except Exception as error:
        get_logger().error("pack_defeats_a_step", offset=place.origin.offset, error=where(error))
        return _empty(replace(head, dead=str(DeadReason.UNREADABLE)), rules)


def refuse(value: bytes, place: Place, rules: Rules, *, blindly: bool = False) -> Decided:
    """The verdict on a message that ended its workers: an empty pack that says so, and counts its events as dead.

    blindly: even what stands around it is not looked at.
    """
    head = CleanHead(place.origin, place.writer, place.link, dead=str(DeadReason.POISONOUS))
    if not blindly:
        with suppress(PackError):
            envelope = read_envelope(value)
            head = replace(head, pack_id=envelope.pack_id.hex(), accepted=envelope.accepted)
    return _empty(head, rules)


def _decide_events(
    head: CleanHead,
    raw: RawPack,
    rules: Rules,
    look_up: LookUp,
    has_pack: Callable[[str], bool],
    run: Callable[[CleanBatch, tuple[Step, ...]], CleanBatch],
    size_max: int,
) -> Decided:
    if has_pack(head.pack_id):
        return _empty(replace(head, repeat=True, accepted=()), rules)
    pipeline = build_pipeline(rules, look_up)
    cleaned = run(CleanBatch.of(raw.batch), pipeline.clean)
    while True:
        final = run(cleaned, (pipeline.drop_duplicates,))
        decided = _finish(head, raw, final, rules)
        excess = len(decided.value) - size_max
        if excess <= 0 or not len(cleaned):
            return decided
        cleaned = pipeline.drop_oversize(cleaned, excess)


def check(raw: RawPack) -> None:
    """Raises PackError for a pack that decodes but holds what no edge writes."""
    batch = raw.batch
    if not SOURCE_CODE.keys() >= set(batch.source):
        raise PackError(DeadReason.UNREADABLE, "source")
    if (
        not 0 <= min(batch.flags, default=0) <= max(batch.flags, default=0) < 2**31
    ):  # fastavro reads beyond an int
        raise PackError(DeadReason.UNREADABLE, "flags")


def _finish(head: CleanHead, raw: RawPack, batch: CleanBatch, rules: Rules) -> Decided:
    entries = {
        key: key + SOURCE_CODE[source] + fingerprint
        for key, source, fingerprint in zip(batch.key, batch.source, batch.fingerprint, strict=True)
    }
    seen_again = [asdict(one) for one in batch.sightings]
    pack = CleanPack(
        head=replace(head, kept=b"".join(entries.values())),
        count=len(batch),
        rules_version=rules.version,
        columns=batch.clean_columns(),
        drops=batch.drops,
        sightings={f"sighting_{name}": [one[name] for one in seen_again] for name in _SIGHTING_FIELDS},
        refusals=raw.refusals,
    )
    return Decided(pack, encode_clean_pack(pack), entries)


def _empty(head: CleanHead, rules: Rules) -> Decided:
    pack = CleanPack(head, rules_version=rules.version)
    return Decided(pack, encode_clean_pack(pack))
