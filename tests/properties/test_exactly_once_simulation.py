"""A seeded world of writers that restart, freeze, lose sends and change their minds, and of somebody who forges clean
packs; the clean log must stay exact, and whoever reads it, whenever, must read the same."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest

from schemas import bounds as bounds_module
from schemas import links as links_module
from schemas.bounds import Bounds, TooEarly
from schemas.clean_pack import (
    CLEAN_PACK,
    CLEAN_PACK_V1,
    Answer,
    CleanHead,
    CleanPack,
    encode_clean_pack,
    read_clean_head,
)
from schemas.identity import KEY_BYTES
from schemas.links import Origin, Position, Verdict, accept
from schemas.ring import Key
from schemas.seal import seal_pack
from schemas.topics import CLEAN, RAW
from streams.partition import chain as chain_module
from streams.partition import recovery as recovery_module
from streams.partition.chain import Chain, Fenced
from streams.partition.deduplication import Deduplication
from streams.partition.raw_view import RawView
from streams.partition.recovery import Watch, recover_log
from streams.partition.store import Mark
from tests.streams.memory_log import InMemoryStore, MemoryLogs

WINDOW_MS = 24 * 3_600_000
STEPS = 400
SEEDS = range(60)
FLIGHT_MAX = 4
RUN_MAX = 3  # raw packs that are decided as one; each try cuts them anew


class Message(NamedTuple):
    """A raw pack: its id and the keys of its events."""

    pack_id: str
    keys: tuple[bytes, ...]


Outcomes = tuple[str, ...]  # of each event of a pack: kept, duplicate, dropped; or one `repeat`


@dataclass
class World:
    """The broker, and what each sent clean pack decided."""

    rng: random.Random
    logs: MemoryLogs = field(default_factory=MemoryLogs)
    raw: list[Message] = field(default_factory=list)
    decisions: dict[tuple[int, str], Outcomes] = field(
        default_factory=dict
    )  # (raw offset, writer) -> outcomes
    writers: int = 0
    forged: set[str] = field(default_factory=set)  # writers nobody knows
    now_s: float = 0.0  # by the clock of the readers

    def __post_init__(self) -> None:
        self.reader = Reader(self)

    def clock(self) -> float:
        """Seconds; each look takes a moment."""
        self.now_s += 0.001
        return self.now_s

    def sleep(self, seconds: float) -> None:
        """Time passes at the broker as well."""
        self.now_s += seconds
        self.logs.now_ms += int(seconds * 1000)

    def publish(self) -> None:
        """An edge sends a new pack with some old events in it, or the spool sends an old pack again."""
        if self.raw and self.rng.random() < 0.15:
            message = self.rng.choice(self.raw[-6:])
        else:
            keys = [self.rng.randrange(60).to_bytes(KEY_BYTES) for _ in range(self.rng.randrange(4))]
            message = Message(self.rng.randbytes(16).hex(), tuple(keys))
        self.sleep(1.0)
        self.raw.append(message)
        self.logs.append(RAW, envelope(message.pack_id))
        self.sleep(0.001)

    def forge(self) -> None:
        """A clean pack that seems to continue the log, and names a raw message whose turn it is not."""
        heads = [read_clean_head(record.value) for record in self.logs.logs[CLEAN, 0][-3:]]
        last = self.rng.choice(heads).this if heads else None
        end, at = len(self.raw), last.offset + 1 if last else 0
        turn = max((offset for offset, _ in self.decisions), default=-1) + 1  # or one before it
        topic_id, partition, offset = self.rng.choice(
            (
                ("raw-1", 0, 2**60),
                ("raw-1", 0, 2**62 - 1),
                ("raw-1", 0, end),  # the next that will come
                ("raw-1", 0, end + self.rng.randrange(1, 5)),
                ("raw-1", 0, end - 1 if end - 1 > turn else end + 7),  # there, and others before it
                ("raw-1", 1, at),
                ("raw-1", 0, -1),
                ("raw-9", 0, at if last else 2**60),
            )
        )
        name = f"forger-{len(self.forged)}"
        self.forged.add(name)
        link = None if self.rng.random() < 0.1 and topic_id == "raw-1" else last
        if last is None and topic_id != "raw-1":
            return  # what an older raw topic left at the beginning of the log counts: nothing is lost by it
        # A run that begins with the message whose turn it is and ends with one that is there could be a writer's own.
        room = offset - turn if turn < offset < end else RUN_MAX
        count = self.rng.randrange(1, min(room, RUN_MAX, max(1, offset)) + 1)
        answers = tuple(Answer(self.rng.randbytes(16).hex()) for _ in range(count))
        head = CleanHead(Origin(topic_id, partition, offset), name, link, answers)
        schema = self.rng.choice([CLEAN_PACK, CLEAN_PACK_V1]) if count == 1 else CLEAN_PACK
        self.logs.append(CLEAN, encode_clean_pack(CleanPack(head), schema))


def envelope(pack_id: str) -> bytes:
    """A raw message as far as anybody can read it."""
    key = Key(0, bytes(16), bytes(32))
    return seal_pack(b"", key, pack_id=bytes.fromhex(pack_id), nonce=bytes(12), accepted=())


@dataclass
class Reader:
    """A loader as far as the rule goes: reads what there is now and then, and never changes its mind."""

    world: World
    at: int = 0
    last: Position | None = None
    accepted: list[CleanHead] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bounds = Bounds(RawView(self.world.logs), 0, self.world.clock)

    def read(self) -> None:
        """Judge all that came since."""
        records = self.world.logs.logs[CLEAN, 0][self.at :]
        seen_at = self.world.clock()
        for record in records:
            head = read_clean_head(record.value)
            while True:
                try:
                    verdict = self.bounds.judge(self.last, head, record.time_ms, seen_at)
                    break
                except TooEarly:
                    self.world.sleep(0.2)
            self.at = record.offset + 1
            if verdict is Verdict.ACCEPTED:
                self.last = head.this
                self.accepted.append(head)


@dataclass
class Writer:
    """A worker: its process may end at any time, its cache outlives it, what it handed to its producer may too."""

    world: World
    seen: InMemoryStore = field(default_factory=lambda: InMemoryStore(WINDOW_MS))
    producer: deque[CleanHead] = field(default_factory=deque)  # handed over, not yet in the log
    reports: deque[int] = field(default_factory=deque)  # clean offsets the worker has not heard of yet
    chain: Chain[None] | None = None
    memory: Deduplication | None = None

    def open(self) -> None:
        """Read the tail under a new name, once all that was sent has landed or is lost."""
        if self.producer:
            return
        self.reports.clear()
        seen: Any = self.seen
        recovered = recover_log(
            self.world.logs,
            0,
            seen,
            window_ms=WINDOW_MS,
            progress=lambda: None,
            watch=Watch(self.world.clock, self.world.sleep),
        )
        assert recovered is not None
        self.world.writers += 1
        self.chain = Chain(
            recovered.topic_id,
            0,
            f"w{self.world.writers}",
            recovered.last,
            recovered.next_raw,
            recovered.next_clean,
        )
        self.memory = Deduplication(seen)

    def decide(self) -> None:
        """Decide the next raw pack with the choices and rules of this moment."""
        chain, memory = self.chain, self.memory
        if chain is None or memory is None:
            return self.open()
        if chain.next_raw >= len(self.world.raw) or len(chain.under_way) >= FLIGHT_MAX:
            return None
        first, now_ms = chain.next_raw, self.world.logs.logs[RAW, 0][chain.next_raw].time_ms
        run = self.world.raw[first : first + self.world.rng.randrange(1, RUN_MAX + 1)]
        place = chain.place()
        answers: list[Answer] = []
        kept: set[bytes] = set()
        for number, message in enumerate(run):
            known = {answer.pack_id for answer in answers if answer.is_stored}
            if self.world.rng.random() < 0.05:
                outcomes: Outcomes = ("dead",)  # one that nobody can read today, among others
            elif message.pack_id in known or memory.has_pack(message.pack_id, now_ms):
                outcomes = ("repeat",)
            else:
                outcomes = self._outcomes(memory, message, now_ms, kept)
            dead = "unreadable" if outcomes == ("dead",) else ""
            answers.append(Answer(message.pack_id, repeat=outcomes == ("repeat",), dead=dead))
            self.world.decisions[first + number, place.writer] = outcomes
        entries = {key: key + b"\1" + b"f" * 8 for key in kept}
        last = place.origin._replace(offset=first + len(run) - 1)
        head = CleanHead(last, place.writer, place.link, tuple(answers), b"".join(entries.values()))
        memory.hold(head, entries)
        chain.sent(head, None)
        self.producer.append(head)
        return None

    def _outcomes(self, memory: Deduplication, message: Message, now_ms: int, own: set[bytes]) -> Outcomes:
        """own: what this run keeps; grows."""
        stored = memory.look_up(message.keys, now_ms)
        outcomes = []
        for key, known in zip(message.keys, stored, strict=True):
            if self.world.rng.random() < 0.2:
                outcomes.append("dropped")  # by a choice or rule that may be another at the next try
            elif known or key in own:
                outcomes.append("duplicate")
            else:
                own.add(key)
                outcomes.append("kept")
        return tuple(outcomes)

    def deliver(self) -> None:
        """The broker appends the next pack of our producer."""
        if self.producer:
            record = self.world.logs.append(CLEAN, encode_clean_pack(CleanPack(self.producer.popleft())))
            self.reports.append(record.offset)

    def hear(self) -> None:
        """A delivery report arrives."""
        if not self.reports or self.chain is None or self.memory is None:
            return
        offset = self.reports.popleft()
        try:
            head = self.chain.confirm(offset).head
        except Fenced:
            self.chain = self.memory = None
            return
        entries = {one.key: b"" for one in head.kept_entries()}
        self.memory.confirm(head, entries, self.world.logs.now_ms, Mark("clean-1", offset + 1, head.this))

    def lose_sends(self) -> None:
        """The producer gives up; that ends the process."""
        self.producer.clear()
        self.crash()

    def crash(self) -> None:
        """The process ends; what its producer had on the wire may still arrive (`deliver`)."""
        self.chain = self.memory = None
        self.reports.clear()

    def forget(self) -> None:
        """Somebody deletes the cache of a dead process."""
        self.crash()
        self.seen = InMemoryStore(WINDOW_MS)


ACTIONS = {
    "decide": 40,
    "deliver": 30,
    "hear": 30,
    "crash": 2,
    "lose_sends": 2,
    "forget": 1,
}  # with their weights


FORGED = 0.03  # a step


def simulate(seed: int, forged: float = 0.0) -> World:
    """Several writers at once, each acting or frozen by chance; then all wake, and one works to the end."""
    rng = random.Random(seed)
    world = World(rng)
    writers = [Writer(world) for _ in range(3)]
    active = writers[0]
    for _ in range(STEPS):
        if rng.random() < 0.2:
            world.publish()
        if rng.random() < forged:
            world.forge()
        if not forged and rng.random() < 0.02:
            world.logs.now_ms -= 5_000  # the broker's clock was wrong: no true pack may suffer
        if rng.random() < 0.2:
            world.reader.read()
        if rng.random() < 0.03:
            active = rng.choice(writers)  # another takes over; the one before freezes as it stands
        who = active if rng.random() < 0.9 else rng.choice(writers)  # and now and then a frozen one moves
        [act] = rng.choices(list(ACTIONS), list(ACTIONS.values()))
        getattr(who, act)()
    for writer in writers:
        while writer.producer:
            writer.deliver()
    world.sleep(2.0)
    last = writers[0]
    for _ in range(20 * len(world.raw) + 100):
        last.decide()
        last.deliver()
        last.hear()
    world.reader.read()
    return world


def check_all(seeds: Iterable[int]) -> None:
    """Stops at the first world that breaks a promise."""
    for seed in seeds:
        check(simulate(seed, FORGED if seed % 2 else 0.0))


def check(world: World) -> None:
    """The promises, as a reader of the clean log sees them."""
    late = Reader(world)
    late.read()
    accepted = late.accepted
    assert world.reader.accepted == accepted, "who reads early and who reads late read the same"
    if not world.forged:
        heads = [read_clean_head(record.value) for record in world.logs.logs[CLEAN, 0]]
        verdicts, _ = accept(None, [head.as_link for head in heads])
        assert accepted == [head for head, verdict in zip(heads, verdicts, strict=True) if verdict]
    assert not {head.writer for head in accepted} & world.forged, "what was forged is left out"
    answers = [(head.first + n, head.writer, one) for head in accepted for n, one in enumerate(head.answers)]
    assert [offset for offset, _, _ in answers] == list(range(len(world.raw))), "each raw pack once, in order"
    stored: set[bytes] = set()
    packs: set[str] = set()
    not_dropped: set[bytes] = set()
    for offset, writer, answer in answers:
        message = world.raw[offset]
        outcomes = world.decisions[offset, writer]
        if answer.dead:
            continue
        if answer.repeat:
            assert message.pack_id in packs, "a repeat of nothing"
            continue
        assert message.pack_id not in packs, "a pack stored twice"
        packs.add(message.pack_id)
        for key, outcome in zip(message.keys, outcomes, strict=True):
            if outcome == "kept":
                assert key not in stored, "an event kept twice"
                stored.add(key)
            if outcome == "duplicate":
                assert key in stored, "a copy of something that is not stored"
            if outcome != "dropped":
                not_dropped.add(key)
    assert stored == not_dropped, "an event that nobody dropped is lost"
    assert stored == {one.key for head in accepted for one in head.kept_entries()}


@pytest.mark.parametrize("seed", SEEDS)
def test_each_raw_pack_is_accepted_once_and_each_event_kept_once(seed: int) -> None:
    check(simulate(seed))


@pytest.mark.parametrize("seed", SEEDS)
def test_forged_packs_lose_and_double_nothing(seed: int) -> None:
    check(simulate(seed, FORGED))


def test_the_world_is_rough_enough_to_mean_something() -> None:
    worlds = [simulate(seed) for seed in range(20)]
    ignored = sum(len(world.logs.logs[CLEAN, 0]) - len(world.reader.accepted) for world in worlds)
    runs = sum(len(head.answers) > 1 for world in worlds for head in world.reader.accepted)
    writers = sum(world.writers for world in worlds)
    assert ignored > 100
    assert runs > 200
    assert writers > 200


def _confirm_anything(self: Chain[Any], clean_offset: int) -> Any:
    self.next_clean = clean_offset + 1
    return self.under_way.popleft()


@pytest.mark.parametrize(
    ("where", "name", "broken"),
    [
        (links_module, "is_accepted", lambda last, pack: True),
        (bounds_module, "judge", lambda last, pack, raw: Verdict.ACCEPTED),
        (bounds_module, "_is_read", lambda message, offset, pack_id: False),
        (Bounds, "_was_known", lambda self, offset, pack_id, seen_at: offset < self._now),
        (Bounds, "_first_behind", lambda self, follows, offset, seen_at: offset),
        (Chain, "confirm", _confirm_anything),
        (recovery_module, "next_raw_after", lambda *of: max(0, chain_module.next_raw_after(*of) - 1)),
        (Deduplication, "hold", lambda self, head, entries: self._entries.update(entries)),
        (InMemoryStore, "look_up", lambda self, keys, now_ms: [None] * len(keys)),
        (Writer, "lose_sends", lambda self: self.producer.clear()),
    ],
)
def test_a_broken_rule_is_noticed(
    monkeypatch: pytest.MonkeyPatch, where: Any, name: str, broken: Any
) -> None:
    monkeypatch.setattr(where, name, broken)
    with pytest.raises((AssertionError, KeyError)):
        check_all(SEEDS)
