"""A whole platform for a test: its own folder, its own free ports, started and stopped by the same command
people use."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

from deploy.kafka_acls import BROKER
from deploy.supervisor.client import Supervisor
from deploy.supervisor.run_folder import RunFolder
from runtime.kafka_access import KafkaAccess, find_access
from runtime.settings import PlatformSettings
from schemas.dead_letter import DeadLetter
from schemas.topics import DEAD, RAW, all_topics

PORTS = (
    "FAIRPIXEL_EDGE_PORT", "FAIRPIXEL_CONSOLE_PORT", "FAIRPIXEL_CLICKHOUSE_PORT", "FAIRPIXEL_KAFKA_PORT",
    "FAIRPIXEL_KAFKA_PROGRAMS_PORT", "FAIRPIXEL_KAFKA_CONTROLLER_PORT", "FAIRPIXEL_STREAMS_PORT",
    "FAIRPIXEL_SINKS_PORT", "FAIRPIXEL_ALERTS_PORT", "FAIRPIXEL_STREAMS_MORE_PORT",
)  # fmt: skip
PROGRAMS = ("kafka", "clickhouse", "ingest", "streams", "sinks", "alerts")
UP_SECONDS_MAX = 120
SETTLE_SECONDS_MAX = 120


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on now; all are held until the last is found, so no two are the same."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def await_that(condition: Callable[[], Any], what: str, seconds_max: float = 60, every: float = 0.1) -> Any:
    """Wait until the condition gives something true and return it; AssertionError with `what` and the last error."""
    deadline = time.monotonic() + seconds_max
    last: object = None
    while time.monotonic() < deadline:
        try:
            last = condition()
            if last:
                return last
        except (OSError, AssertionError, ValueError, KeyError) as error:
            last = error
        time.sleep(every)
    raise AssertionError(f"not within {seconds_max} s: {what}; last: {last!r}")


@dataclass
class Platform:
    """One platform on this machine. `folder` is its own; nothing is written elsewhere."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        own = {name: str(port) for name, port in zip(PORTS, free_ports(len(PORTS)), strict=True)}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("FAIRPIXEL_")}
        self.env = {
            # Sizes of a small machine wherever the tests run, but two partitions, as a larger one has several.
            **inherited, **own, "FAIRPIXEL_CORES": "2", "FAIRPIXEL_KAFKA_PARTITIONS": "2",
            "FAIRPIXEL_DATA": str(self.folder / "data"), "FAIRPIXEL_KEYS": str(self.folder / "keys"), **self.env,
        }  # fmt: skip

    @property
    def data(self) -> Path:
        return Path(self.env["FAIRPIXEL_DATA"])

    @property
    def edge(self) -> str:
        return f"http://127.0.0.1:{self.env['FAIRPIXEL_EDGE_PORT']}"

    @property
    def secret_key(self) -> str:
        """The secret key of the site that is there from the start."""
        return self.site_secret_key("demo")

    def site_secret_key(self, site: str) -> str:
        """The secret key of a site."""
        secrets = tomllib.loads((self.data / "secrets.toml").read_text())
        return str(secrets["sites"][site]["secret_key"])

    def run(
        self, *args: str, check: bool = True, timeout: float = UP_SECONDS_MAX
    ) -> subprocess.CompletedProcess[str]:
        """One `fairpixel` command; AssertionError with its output when it fails."""
        done = subprocess.run(
            [sys.executable, "-m", "deploy.cli", *args],
            env=self.env,
            text=True,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
        assert not check or done.returncode == 0, (
            f"fairpixel {' '.join(args)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        return done

    def up(self) -> str:
        return self.run("up", "--detach").stdout

    def down(self) -> None:
        self.run("down")

    def programs(self) -> dict[str, dict[str, Any]]:
        """What `status --json` says, by name."""
        return {
            one["name"]: one
            for one in json.loads(self.run("status", "--json", check=False).stdout)["programs"]
        }

    def pid(self, name: str) -> int:
        """The pid of a program that runs."""
        return int(await_that(lambda: self.programs()[name]["pid"], f"a pid of {name}"))

    def signal(self, name: str, number: signal.Signals) -> int:
        """Send a signal to one program; returns its pid."""
        pid = self.pid(name)
        os.kill(pid, number)
        return pid

    def stores(self) -> Iterator[tuple[str, bytes]]:
        """(name, content) of all that is kept: each file, and each text that a table or a topic gives back."""
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                try:
                    content = path.read_bytes()
                except FileNotFoundError:  # ClickHouse merged it away meanwhile: its rows are read below
                    continue
                yield str(path.relative_to(self.folder)), content
        columns = self.query(
            "SELECT table, name FROM system.columns WHERE database = 'fairpixel' AND type LIKE '%String%' "
            "AND table IN (SELECT name FROM system.tables WHERE database = 'fairpixel' AND total_rows > 0)"
        )
        for one in columns:
            rows = self.query(f"SELECT DISTINCT toString(`{one['name']}`) v FROM fairpixel.`{one['table']}`")
            yield f"{one['table']}.{one['name']}", json.dumps(rows).encode()
        yield from self.messages()

    def dead_letters(self) -> Iterator[DeadLetter]:
        """Every readable dead letter."""
        for message in self._read(DEAD):
            with suppress(ValueError):
                yield DeadLetter.from_message(message.value() or b"", message.headers() or [])

    def dead_letter_offsets(self) -> list[tuple[int, int]]:
        """(partition, offset) of every message in the dead letter topic."""
        return [(message.partition(), message.offset()) for message in self._read(DEAD)]

    def messages(self) -> Iterator[tuple[str, bytes]]:
        """Every message of every topic, as a reader gets it."""
        for topic in all_topics():
            for message in self._read(topic.name):
                yield f"{topic.name}/{message.partition()}/{message.offset()}", message.value() or b""

    def _read(self, topic: str) -> Iterator[Message]:
        consumer = self._consumer()
        try:
            for partition in self._partitions(consumer, topic):
                consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
                while not (message := await_that(lambda: consumer.poll(5), "a message")).error():
                    yield message
        finally:
            consumer.close()

    def healthy(self) -> bool:
        programs = self.programs()
        return all(programs[name]["health"] == "ok" for name in PROGRAMS)

    def supervise(self, action: str, name: str) -> None:
        """`start` or `stop` one program: it stays so until told otherwise."""
        supervisor = Supervisor(RunFolder.of(self.data.resolve()).socket)
        {"start": supervisor.start, "stop": supervisor.stop}[action](name)

    def get(self, url: str, timeout: float = 5) -> bytes:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return bytes(answer.read())

    def post(self, path: str, body: bytes | dict[str, Any], key: str = "demo") -> Any:
        """POST to the edge; returns the decoded answer."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(
            self.edge + path, data, {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def query(self, sql: str) -> list[dict[str, Any]]:
        """Rows of a SELECT, as the reader without a password."""
        port = self.env["FAIRPIXEL_CLICKHOUSE_PORT"]
        settings = urllib.parse.urlencode(
            {"default_format": "JSONEachRow", "output_format_json_quote_64bit_integers": 0}
        )
        request = urllib.request.Request(f"http://127.0.0.1:{port}/?{settings}", sql.encode())
        with urllib.request.urlopen(request, timeout=60) as answer:
            return [json.loads(line.decode("utf-8", "replace")) for line in answer.read().splitlines()]

    def count(self, sql: str) -> int:
        """The single number a SELECT gives."""
        (row,) = self.query(sql)
        return int(next(iter(row.values())))

    def metric(self, port_variable: str, name: str) -> float:
        """The value of a metric without labels."""
        text = self.get(f"http://127.0.0.1:{self.env[port_variable]}/metrics").decode()
        return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name + " "))

    def settled(self) -> bool:
        """True when everything the edge answered for is loaded: no spool, and ClickHouse past the raw topic's end."""
        if self.metric("FAIRPIXEL_EDGE_PORT", "fairpixel_ingest_spool_packs") > 0:
            return False
        return self.loaded()

    def loaded(self) -> bool:
        """True when ClickHouse is past the raw topic's end."""
        return self.backlog() == 0

    def backlog(self) -> int:
        """Offsets of the raw topic that ClickHouse is not past yet."""
        sql = "SELECT origin_partition p, max(origin_offset) + 1 o FROM fairpixel.progress GROUP BY p"
        loaded = {row["p"]: row["o"] for row in self.query(sql)}
        return sum(max(0, end - loaded.get(partition, 0)) for partition, end in self.raw_ends().items())

    def raw_ends(self) -> dict[int, int]:
        """The offset behind the last raw pack of each partition."""
        consumer = self._consumer()
        try:
            return {
                partition: consumer.get_watermark_offsets(TopicPartition(RAW, partition), timeout=5)[1]
                for partition in self._partitions(consumer, RAW)
            }
        except KafkaException as error:
            raise OSError(f"Kafka does not answer: {error.args[0].name()}") from None
        finally:
            consumer.close()

    def settle(self, seconds_max: float = SETTLE_SECONDS_MAX) -> None:
        """Wait until everything is loaded; twice, as a pack may be on its way to Kafka."""
        await_that(self.settled, "the platform settles", seconds_max, every=0.5)
        time.sleep(0.1)  # longer than a pack stays open
        await_that(self.settled, "the platform stays settled", seconds_max, every=0.5)

    def kafka(self, program: str = BROKER) -> KafkaAccess:
        """The login of a program; by default that of the broker, which may do everything."""
        return find_access(PlatformSettings.from_env(self.env), program)

    def _partitions(self, consumer: Consumer, topic: str) -> list[int]:
        return sorted(consumer.list_topics(topic, timeout=5).topics[topic].partitions)

    def _consumer(self) -> Consumer:
        return Consumer(
            {
                **self.kafka().client(),
                "group.id": "reader",
                "enable.partition.eof": True,
                "log_level": 0,
            }
        )
