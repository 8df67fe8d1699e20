"""A run of raw messages in, one clean pack out, also when nothing survives or nobody could read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from functools import partial
from typing import NamedTuple, Protocol

from runtime.logs import get_logger
from schemas.avro_codec import PackError
from schemas.clean_pack import (
    SIGHTING_COLUMNS,
    SOURCE_CODE,
    Answer,
    CleanHead,
    CleanPack,
    encode_clean_pack,
)
from schemas.drops import DeadReason
from schemas.links import Origin, Position
from schemas.pack import RawPack, Refusal, decode_raw_pack
from schemas.ring import Ring
from schemas.seal import ACCEPTED_MAX, Envelope, open_seal, read_envelope
from schemas.topics import CLEAN_SIZE_MAX
from streams.columns.batch import CleanBatch, Sighting
from streams.fault import BrokenDependency, where
from streams.pipeline import Step, build_pipeline, clean
from streams.rules import Rules
from streams.steps.duplicates import LookUp

_SIGHTING_FIELDS = tuple(one.name for one in fields(Sighting))
assert tuple(f"sighting_{name}" for name in _SIGHTING_FIELDS) == SIGHTING_COLUMNS

TOGETHER_MAX = 5_000  # events that are decided as one: 0.1 s, in which the event loop does nothing else
SIZE_MAX = CLEAN_SIZE_MAX - 10_000  # bytes before compression; the broker counts its own header too


@dataclass(frozen=True, slots=True)
class Place:
    """Where a clean pack stands: which raw message it answers first, who writes it, what it follows."""

    origin: Origin
    writer: str
    link: Position | None


class NotTogether(Exception):
    """These raw messages cannot be decided as one: each is decided by itself."""


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
    values: Sequence[bytes],
    place: Place,
    *,
    open_pack: Opener,
    rules: Rules,
    look_up: LookUp,
    has_pack: Callable[[str], bool],
    run: Callable[[CleanBatch, tuple[Step, ...]], CleanBatch] = clean,
    size_max: int = SIZE_MAX,
) -> Decided:
    """Decide raw messages that lie one behind the other, as one batch.

    A repeat answers with nothing and says so. So does a message nobody can read, also one that decodes to something no
    step knows what to do with: it waits among the dead letters for a better program, and those beside it go on. Raises
    BrokenDependency; and NotTogether for several messages that defeat a step, hold more than one clean pack may or give
    more than `size_max` bytes.
    """
    read = [_read(value, open_pack) for value in values]
    if len(read) > 1 and _is_too_much(read):
        raise NotTogether
    try:
        return _decide_events(read, place, rules, look_up, has_pack, run, size_max)
    except (BrokenDependency, NotTogether):
        raise
    except Exception as error:
        if len(read) > 1:
            raise NotTogether from error
        get_logger().error("pack_defeats_a_step", offset=place.origin.offset, error=where(error))
        return _empty(place, [read[0].answer._replace(dead=str(DeadReason.UNREADABLE))], rules)


def refuse(value: bytes, place: Place, rules: Rules, *, blindly: bool = False) -> Decided:
    """The verdict on a message that ended its workers: an empty pack that says so, and counts its events as dead.

    blindly: even what stands around it is not looked at.
    """
    answer = Answer(dead=str(DeadReason.POISONOUS))
    if not blindly:
        with suppress(PackError):
            envelope = read_envelope(value)
            answer = answer._replace(pack_id=envelope.pack_id.hex(), accepted=envelope.accepted)
    return _empty(place, [answer], rules)


class _Read(NamedTuple):
    answer: Answer
    raw: RawPack | None  # None when nobody can read it; then `answer` says why


def _is_too_much(read: Sequence[_Read]) -> bool:
    """Whether these are more than one clean pack may answer; no reader takes one of more than ACCEPTED_MAX counts."""
    events = sum(len(one.raw.batch) for one in read if one.raw is not None)
    return events > TOGETHER_MAX or sum(len(one.answer.accepted) for one in read) > ACCEPTED_MAX


def _read(value: bytes, open_pack: Opener) -> _Read:
    answer = Answer()
    try:
        envelope = read_envelope(value)
        answer = Answer(envelope.pack_id.hex(), accepted=envelope.accepted)
        raw = decode_raw_pack(open_pack(envelope))
        check(raw)
    except PackError as error:
        return _Read(answer._replace(dead=str(error.reason)), None)
    return _Read(Answer(answer.pack_id, raw.edge, accepted=answer.accepted), raw)


def _decide_events(
    read: Sequence[_Read],
    place: Place,
    rules: Rules,
    look_up: LookUp,
    has_pack: Callable[[str], bool],
    run: Callable[[CleanBatch, tuple[Step, ...]], CleanBatch],
    size_max: int,
) -> Decided:
    answers, raws = [], {}
    own: set[str] = set()
    for number, (answer, raw) in enumerate(read):
        if raw is None:
            answers.append(answer)
        elif answer.pack_id in own or has_pack(answer.pack_id):
            answers.append(answer._replace(repeat=True, accepted=()))
        else:
            own.add(answer.pack_id)
            answers.append(answer)
            raws[number] = raw
    if not raws:
        return _empty(place, answers, rules)
    pipeline = build_pipeline(rules, look_up)
    cleaned = run(CleanBatch.of_run({number: raw.batch for number, raw in raws.items()}), pipeline.clean)
    refusals = [one for raw in raws.values() for one in raw.refusals]
    while True:
        final = run(cleaned, (pipeline.drop_duplicates,))
        decided = _finish(place, answers, final, refusals, rules)
        excess = len(decided.value) - size_max
        if excess <= 0 or not len(cleaned):
            return decided
        if len(read) > 1:
            raise NotTogether
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


def _finish(
    place: Place, answers: Sequence[Answer], batch: CleanBatch, refusals: Sequence[Refusal], rules: Rules
) -> Decided:
    entries = {
        key: key + SOURCE_CODE[source] + fingerprint
        for key, source, fingerprint in zip(batch.key, batch.source, batch.fingerprint, strict=True)
    }
    counts = Counter(batch.pack) if batch.pack else {}
    pack = CleanPack(
        head=_head(place, answers, b"".join(entries.values())),
        count=len(batch),
        counts=[counts[number] for number in range(len(answers))] if batch.pack else (),
        rules_version=rules.version,
        columns=batch.clean_columns(),
        drops=batch.drops,
        sightings={
            f"sighting_{name}": [getattr(one, name) for one in batch.sightings] for name in _SIGHTING_FIELDS
        }
        if batch.sightings
        else {},
        refusals=refusals,
    )
    return Decided(pack, encode_clean_pack(pack), entries)


def _empty(place: Place, answers: Sequence[Answer], rules: Rules) -> Decided:
    pack = CleanPack(_head(place, answers), rules_version=rules.version)
    return Decided(pack, encode_clean_pack(pack))


def _head(place: Place, answers: Sequence[Answer], kept: bytes = b"") -> CleanHead:
    topic_id, partition, first = place.origin
    last = Origin(topic_id, partition, first + len(answers) - 1)
    return CleanHead(last, place.writer, place.link, tuple(answers), kept)
