"""A real edge for a test: its own process, folder and port; what it writes to Kafka, opened again."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from confluent_kafka import Consumer, TopicPartition

from ingest.packing.spool_files import adopt_spools
from runtime.keyring import read_ring
from schemas.event import Event
from schemas.pack import RawPack, decode_raw_pack
from schemas.ring import DAY_MS, Key
from schemas.seal import open_seal, read_envelope
from schemas.topics import RAW
from tests.processes import REPO, await_that, edge_workers, free_port

SECRET_KEY = "sk-of-a-test"
IDENTITY_SECRET = "ab" * 32
SITES = '[sites.demo]\n[sites.shop]\norigins = ["https://shop.example"]\n'


@dataclass
class Edge:
    """One edge and everything it needs."""

    folder: Path
    bootstrap: str
    env: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    sites: str = SITES
    secrets: str = ""

    def __post_init__(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        self.keys.mkdir(exist_ok=True)
        (self.data / "fairpixel.toml").write_text(self.sites)
        secrets = f'identity_secret = "{IDENTITY_SECRET}"\n[sites.demo]\nsecret_key = "{SECRET_KEY}"\n'
        (self.data / "secrets.toml").write_text(secrets + self.secrets)
        self.add_key()

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def environ(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("FAIRPIXEL_")}
        return {
            **own,
            "FAIRPIXEL_DATA": str(self.data),
            "FAIRPIXEL_KEYS": str(self.keys),
            "FAIRPIXEL_EDGE_PORT": str(self.port),
            "FAIRPIXEL_KAFKA_BOOTSTRAP": self.bootstrap,
            **self.env,
        }

    def add_key(self) -> None:
        key = Key(int(time.time() * 1000) // DAY_MS * DAY_MS, os.urandom(8), os.urandom(32))
        (self.keys / key.file_name).write_bytes(key.secret)

    def start(self) -> Edge:
        with (self.folder / "edge.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ingest"], cwd=REPO, env=self.environ, stdout=log, stderr=log
            )
        await_that(self.is_ready, 20, "the edge is ready")
        return self

    def is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "edge.log").read_text()[-2000:]
        try:
            return self.get("/readyz")[0] == 200
        except OSError:
            return False

    def workers(self) -> list[int]:
        """The pids of the worker processes."""
        assert self.process is not None
        return edge_workers(self.process.pid)

    def kill(self) -> None:
        """kill -9 of every process of the edge."""
        assert self.process is not None
        workers = self.workers()
        for pid in [self.process.pid, *workers]:
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
        await_that(
            lambda: not any(map(_runs, workers)), 10, "the workers are gone, and their locks with them"
        )

    def stop(self) -> None:
        """In order, as the supervisor does."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)

    def __enter__(self) -> Edge:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()

    def request(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, bytes, dict[str, str]]:
        """One request on its own connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        try:
            connection.request(method, path, body or None, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from None
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        return self.request("GET", path, headers=headers)

    def post(self, content: Any, key: str = "demo", **headers: str) -> tuple[int, Any]:
        """POST to /v1/events; bytes go as they are."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        status, answer, _ = self.request(
            "POST", "/v1/events", body, {"Authorization": f"Bearer {key}", **headers}
        )
        return status, json.loads(answer)

    def metric(self, name: str) -> float:
        """The value of a metric without labels."""
        text = self.get("/metrics")[1].decode()
        return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name + " "))

    def await_topic(self) -> None:
        """Until everything that was answered with 200 is in the topic."""
        spooled = "fairpixel_ingest_spool_packs"
        await_that(lambda: self.metric(spooled) == 0, 30, "what was spooled is in the topic")

    def packs(self, start: list[TopicPartition]) -> Iterator[RawPack]:
        """Everything in the topic since `start` that our ring opens. A pack counts once, as in streams: one that Kafka
        took late, which a busy machine brings about, was spooled meanwhile and comes again under its pack id."""
        if self.process is not None and self.process.poll() is None:
            self.await_topic()
        ring, seen = read_ring(self.keys), set()
        for message in read_topic(self.bootstrap, start):
            envelope = read_envelope(message)
            if envelope.key_id in ring.by_id and envelope.pack_id not in seen:
                seen.add(envelope.pack_id)
                yield decode_raw_pack(open_seal(envelope, ring))

    def events(self, start: list[TopicPartition], *, direct: bool = False) -> list[Event]:
        """What stands in the topic; `direct`: also what it read from the direct topic, where any test may write."""
        found = [event for pack in self.packs(start) for event in pack.batch.to_events()]
        return [event for event in found if direct or event.source != "direct"]

    def spooled(self) -> list[Event]:
        """What lies in the spools of this (dead) edge."""
        ring = read_ring(self.keys)
        found: list[Event] = []
        for spool in adopt_spools(self.data / "ingest" / "spool"):
            while records := spool.read(1_000_000):
                for record in records:
                    found += decode_raw_pack(open_seal(read_envelope(record.message), ring)).batch.to_events()
                spool.release()
            spool.close()
        return found


class StartEdge(Protocol):
    """Starts an edge of its own on the broker of the run; tests/conftest.py ends it behind the module's last test."""

    def __call__(
        self, env: Mapping[str, str] | None = None, *, sites: str = SITES, secrets: str = ""
    ) -> Edge:
        """env: settings of its own. sites: its fairpixel.toml. secrets: tables behind those of every secrets.toml."""


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "XZ"
    except OSError:
        return False


def ends(bootstrap: str) -> list[TopicPartition]:
    """Where the raw topic ends now."""
    consumer = _consumer(bootstrap)
    try:
        partitions = consumer.list_topics(RAW, timeout=10).topics[RAW].partitions
        return [
            TopicPartition(RAW, p, consumer.get_watermark_offsets(TopicPartition(RAW, p), timeout=10)[1])
            for p in partitions
        ]
    finally:
        consumer.close()


def read_topic(bootstrap: str, start: list[TopicPartition]) -> list[bytes]:
    """Every message of the raw topic from `start` to its end now."""
    until = {one.partition: one.offset for one in ends(bootstrap)}
    missing = sum(until[one.partition] - one.offset for one in start)
    consumer = _consumer(bootstrap)
    messages: list[bytes] = []
    try:
        consumer.assign(start)
        while len(messages) < missing:
            message = consumer.poll(10)
            assert message is not None, "the raw topic ended early"
            assert message.error() is None
            messages.append(message.value() or b"")
    finally:
        consumer.close()
    return messages


def _consumer(bootstrap: str) -> Consumer:
    return Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "a-test", "enable.auto.commit": False, "log_level": 0}
    )
