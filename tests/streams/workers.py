"""Real workers on a real broker: start, freeze, kill, and read what they made of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from runtime.kafka_access import KafkaAccess
from runtime.keyring import keep_ring
from schemas.clean_pack import CleanPack, decode_clean_pack
from schemas.dead_letter import DeadLetter
from schemas.event import Event
from schemas.identity import partition_of
from schemas.links import accept
from schemas.ring import Key
from schemas.topics import CLEAN, DEAD, RAW
from streams.kafka.log_reader import KafkaLogReader
from tests.processes import REPO, await_that, free_port
from tests.streams.make import page_view, sealed

PARTITIONS = (0, 1)


def now_ms() -> int:
    """The present, as an edge stamps it."""
    return time.time_ns() // 1_000_000


@dataclass
class Workers:
    """The folder of one platform, its broker, and the streams workers started on it."""

    bootstrap: str
    folder: Path
    running: list[Worker] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.folder / "data").mkdir(exist_ok=True)
        self.configure("[sites.demo]\n")
        self.key: Key = keep_ring(self.folder / "keys", now_ms()).newest(now_ms())
        self.log = KafkaLogReader(KafkaAccess(self.bootstrap))
        self.producer = Producer(
            {"bootstrap.servers": self.bootstrap, "enable.idempotence": True, "linger.ms": 1, "log_level": 0}
        )

    def configure(self, text: str) -> None:
        """Write fairpixel.toml, whole at once."""
        part = self.folder / "data" / "fairpixel.part"
        part.write_text(text)
        part.rename(self.folder / "data" / "fairpixel.toml")

    def start(self, module: str = "streams", **settings: str) -> Worker:
        """Start one more worker; it is not ready yet."""
        port = free_port()
        environ = {
            **os.environ,
            "FAIRPIXEL_DATA": str(self.folder / "data"),
            "FAIRPIXEL_KEYS": str(self.folder / "keys"),
            "FAIRPIXEL_KAFKA_BOOTSTRAP": self.bootstrap,
            "FAIRPIXEL_IDENTITY_SECRET": "ab" * 32,
            "FAIRPIXEL_STREAMS_PORT": str(port),
            **settings,
        }
        log = (self.folder / f"worker-{len(self.running)}.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", module], cwd=REPO, env=environ, stdout=log, stderr=log
        )
        worker = Worker(process, port, Path(log.name))
        self.running.append(worker)
        return worker

    def send(self, events: Iterable[Event], **more: Any) -> list[tuple[int, bytes]]:
        """Seal a pack for each partition these events belong to; returns what was sent, to send it again."""
        by_partition: dict[int, list[Event]] = {}
        for one in events:
            by_partition.setdefault(partition_of(one.site, one.name, one.event_id, 2), []).append(one)
        sent = [(partition, sealed(some, key=self.key, **more)) for partition, some in by_partition.items()]
        for partition, value in sent:
            self.send_bytes(partition, value)
        return sent

    def send_bytes(self, partition: int, value: bytes | None) -> None:
        """Put bytes on the raw topic; `flush` before relying on them."""
        self.producer.produce(RAW, value, partition=partition)
        self.producer.poll(0)

    def flush(self) -> None:
        """Wait until the broker has all that was sent."""
        assert self.producer.flush(30) == 0

    def raw_ends(self) -> dict[int, int]:
        """How many raw messages each partition has."""
        return {partition: self.log.bounds(RAW, partition)[1] for partition in PARTITIONS}

    def accepted(self) -> dict[int, list[CleanPack]]:
        """The accepted clean packs of each partition, in order."""
        found = {}
        for partition in PARTITIONS:
            low, high = self.log.bounds(CLEAN, partition)
            packs = [
                decode_clean_pack(record.value)
                for chunk in self.log.read(CLEAN, partition, low, high)
                for record in chunk
            ]
            verdicts, _ = accept(None, [pack.head.as_link for pack in packs])
            found[partition] = [pack for pack, verdict in zip(packs, verdicts, strict=True) if verdict]
        return found

    def has_decided(self) -> bool:
        """Whether every raw message has its accepted clean pack, each once and in order."""
        ends = self.raw_ends()
        return offsets(self.accepted()) == {p: list(range(ends[p])) for p in PARTITIONS}

    def dead_letters(self) -> list[DeadLetter]:
        """All dead letters there are."""
        dead_letters = []
        for partition in PARTITIONS:
            for chunk in self.log.read(DEAD, partition, *self.log.bounds(DEAD, partition)):
                dead_letters += [DeadLetter.from_message(record.value, record.headers) for record in chunk]
        return dead_letters

    def await_decided(self, within_s: float = 60) -> dict[int, list[CleanPack]]:
        """Wait until every raw message has its accepted clean pack, each once and in order; returns them."""
        self.flush()
        ends = self.raw_ends()
        await_that(
            self.has_decided,
            within_s,
            f"{ends} raw messages are decided; logs: {[one.recovered() for one in self.running]}",
        )
        return self.accepted()

    def stop(self) -> None:
        """End every worker."""
        for one in self.running:
            one.kill()


@dataclass
class Worker:
    """One process."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def page(self, path: str) -> dict[str, Any] | None:
        """What the health page says; None while nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=2) as answer:
                return dict(json.loads(answer.read()))
        except urllib.error.HTTPError as error:
            return dict(json.loads(error.read()))
        except OSError:
            return None

    def await_ready(self, within_s: float = 40) -> None:
        """Wait until it makes decisions."""
        await_that(
            lambda: (self.page("/readyz") or {}).get("ready"),
            within_s,
            f"the worker is ready; {self.recovered()}",
        )

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9, also of a frozen one."""
        self.process.kill()
        self.process.wait()

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Its log lines of one kind."""
        parsed = (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{"))
        return [line for line in parsed if line.get("event") == event]

    def recovered(self) -> str:
        return self.log.read_text()[-1500:]


def offsets(packs: dict[int, list[CleanPack]]) -> dict[int, list[int]]:
    """The raw offsets each partition's packs answer."""
    return {
        partition: [offset for one in some for offset in range(one.head.first, one.head.origin.offset + 1)]
        for partition, some in packs.items()
    }


def stored(packs: dict[int, list[CleanPack]]) -> Counter[str]:
    """How often each event id was stored."""
    return Counter(one for some in packs.values() for pack in some for one in pack.columns["event_id"])


def pages(prefix: str, numbers: Iterable[int]) -> list[Event]:
    """Page views with ids made of a prefix and a number."""
    return [page_view(event_id=f"{prefix}-{number}", received_at=now_ms()) for number in numbers]


def replay(workers: Workers, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as people type it."""
    environ = {
        **os.environ,
        "FAIRPIXEL_DATA": str(workers.folder / "data"),
        "FAIRPIXEL_KEYS": str(workers.folder / "keys"),
        "FAIRPIXEL_KAFKA_BOOTSTRAP": workers.bootstrap,
    }
    command = [sys.executable, "-m", "deploy.cli", "replay", *arguments]
    return subprocess.run(
        command, cwd=REPO, env=environ, text=True, capture_output=True, timeout=60, check=False
    )
