"""The world a loader lives in, made of fakes."""

from __future__ import annotations

from pathlib import Path

from sinks.loader.block import BlockLimits, Checkpoint
from sinks.loader.loader import Loader
from tests.fakes import (
    Effects,
    FakeClock,
    FakeDeadLetters,
    FakeInbox,
    FakeLog,
    FakeRaw,
    FakeWarehouse,
)
from tests.sinks.packs import Chain

SMALL = BlockLimits(row_count_max=12, pack_count_max=6)


class Stage:
    """The world a loader lives in; loaders come and go."""

    def __init__(
        self, *packs: bytes, limits: BlockLimits = SMALL, batch: int = 100, folder: Path | None = None
    ) -> None:
        self.effects = Effects()
        self.clock = FakeClock()
        self.log = FakeLog(messages={0: list(packs)})
        self.warehouse = FakeWarehouse(self.effects)
        self.dead_letters = FakeDeadLetters(self.effects)
        self.raw = FakeRaw()
        self.limits = limits
        self.batch = batch
        self.folder = folder

    def start(self) -> Loader:
        inbox = FakeInbox(self.log, self.effects, self.clock, batch=self.batch)
        loader = Loader(
            inbox,
            self.warehouse,
            self.dead_letters,
            self.raw,
            group="g",
            clock=self.clock,
            sleep=self.clock.sleep,
            limits=self.limits,
            folder=self.folder,
        )
        inbox.begin(loader)
        return loader

    def run(self, loader: Loader | None = None, steps: int = 60) -> Loader:
        loader = loader or self.start()
        for _ in range(steps):
            loader.step()
        return loader

    @property
    def loaded(self) -> list[int]:
        """Raw offsets of the packs in ClickHouse, in order."""
        return [record["origin_offset"] for record in self.warehouse.records]

    @property
    def checkpoint(self) -> Checkpoint:
        checkpoint = Checkpoint.parse(self.log.committed[0][1])
        assert checkpoint is not None
        return checkpoint


def chain_of(count: int, rows: int = 2) -> list[bytes]:
    chain = Chain()
    return [chain.pack(rows) for _ in range(count)]
