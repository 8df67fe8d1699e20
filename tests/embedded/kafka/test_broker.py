"""The embedded broker: starts, comes back after kill -9 with its data, and says what is in its way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from deploy.embedded import kafka as embedded_kafka
from deploy.embedded.kafka_probe import Broker, probe
from deploy.kafka_acls import BROKER
from deploy.topics import differences, ensure_topics
from runtime.kafka_access import KafkaAccess, find_access
from runtime.settings import PlatformSettings
from schemas.topics import CLEAN, RAW, Topic, all_topics
from tests.processes import REPO, await_that, free_port

pytestmark = pytest.mark.usefixtures("kafka_installed")


class Running:
    """A broker of its own for one test."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.port = free_port()
        self.programs_port = free_port()
        self.controller_port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def access(self) -> KafkaAccess:
        """As the broker itself, which may do everything."""
        return find_access(PlatformSettings.from_env(self.environ()), BROKER)

    def environ(self) -> Mapping[str, str]:
        return {
            **os.environ,
            "FAIRPIXEL_DATA": str(self.data),
            "FAIRPIXEL_KAFKA_PORT": str(self.port),
            "FAIRPIXEL_KAFKA_PROGRAMS_PORT": str(self.programs_port),
            "FAIRPIXEL_KAFKA_CONTROLLER_PORT": str(self.controller_port),
        }

    def start(self) -> None:
        with (self.data / "kafka.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "deploy.embedded.kafka"],
                cwd=REPO,
                env=self.environ(),
                stdout=log,
                stderr=log,
            )
        await_that(lambda: probe("127.0.0.1", self.port) is Broker.READY, 30, "the broker is ready")

    def stop(self, how: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait(20)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path)
    yield running
    if running.process is not None and running.process.poll() is None:
        running.process.kill()
        running.process.wait()


def write(kafka: KafkaAccess, topic: str, value: bytes) -> None:
    producer = Producer({**kafka.client(), "acks": "all", "message.max.bytes": 5_000_000, "log_level": 0})
    failed: list[object] = []
    producer.produce(topic, value, partition=0, on_delivery=lambda error, _: error and failed.append(error))
    assert producer.flush(20) == 0
    assert not failed, failed[0]


def read(kafka: KafkaAccess, topic: str, count: int) -> list[bytes]:
    consumer = Consumer({**kafka.client(), "group.id": "test", "log_level": 0})
    consumer.assign([TopicPartition(topic, 0, 0)])
    found: list[bytes] = []
    try:
        while len(found) < count:
            message = consumer.poll(15)
            assert message is not None
            assert message.error() is None
            found.append(message.value() or b"")
    finally:
        consumer.close()
    return found


def test_a_killed_broker_comes_back_with_what_it_acknowledged(broker: Running) -> None:
    broker.start()
    ensure_topics(broker.access, all_topics())
    write(broker.access, RAW, b"before the kill")
    broker.stop(signal.SIGKILL)
    broker.start()
    write(broker.access, RAW, b"after the kill")
    assert read(broker.access, RAW, 2) == [b"before the kill", b"after the kill"]


def test_its_ports_can_be_moved_and_the_data_stays(broker: Running) -> None:
    broker.start()
    ensure_topics(broker.access, all_topics())
    write(broker.access, RAW, b"on the old port")
    broker.stop(signal.SIGTERM)
    broker.port, broker.programs_port, broker.controller_port = free_port(), free_port(), free_port()
    broker.start()
    assert read(broker.access, RAW, 1) == [b"on the old port"]


def test_the_supervised_process_is_the_broker_itself(broker: Running) -> None:
    broker.start()
    assert broker.process is not None
    command = Path(f"/proc/{broker.process.pid}/cmdline")
    if not command.exists():
        pytest.skip("this system has no /proc")
    assert command.read_bytes().split(b"\0")[0] == bytes(embedded_kafka.java_path())


@pytest.mark.parametrize(
    "variable", ["FAIRPIXEL_KAFKA_PORT", "FAIRPIXEL_KAFKA_PROGRAMS_PORT", "FAIRPIXEL_KAFKA_CONTROLLER_PORT"]
)
def test_a_busy_port_is_named_with_the_setting_that_moves_it(
    broker: Running, kafka: str, variable: str
) -> None:
    busy = kafka.rpartition(":")[2]
    done = subprocess.run(
        [sys.executable, "-m", "deploy.embedded.kafka"],
        cwd=REPO,
        env={**broker.environ(), variable: busy},
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 1
    assert f"127.0.0.1:{busy}" in done.stderr
    assert variable in done.stderr
    assert "Traceback" not in done.stderr


def test_a_first_run_cut_off_while_formatting_is_done_again(broker: Running) -> None:
    (broker.data / "kafka" / "new" / "log").mkdir(parents=True)
    (broker.data / "kafka" / "log").mkdir()
    (broker.data / "kafka" / "log" / "bootstrap.checkpoint").write_bytes(b"half")
    broker.start()
    assert not (broker.data / "kafka" / "new").exists()


def test_topics_carry_the_settings_they_were_declared_with(kafka: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka})
    for topic in all_topics():
        found = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic.name)])
        wanted = {**topic.config, **topic.newer}
        (entries,) = [future.result(10) for future in found.values()]
        assert {name: entries[name].value for name in wanted} == wanted
        assert len(admin.list_topics(timeout=10).topics[topic.name].partitions) == topic.partitions


def test_setting_up_topics_twice_changes_nothing_the_second_time(kafka: str) -> None:
    await_that(lambda: ensure_topics(KafkaAccess(kafka), all_topics()) == [], 10, "nothing is left to change")


def test_a_changed_topic_is_brought_back_and_a_small_one_grows(kafka: str) -> None:
    small = Topic("test.small", "a test", 1, {"retention.ms": "1000"})
    ensure_topics(KafkaAccess(kafka), [small])
    wanted = Topic("test.small", "a test", 3, {"retention.ms": "2000"})
    expected = ["test.small: 1 partitions, expected 3", "test.small: retention.ms is not 2000"]
    await_that(
        lambda: differences(KafkaAccess(kafka), [wanted]) == expected, 10, "both differences are named"
    )
    ensure_topics(KafkaAccess(kafka), [wanted])
    await_that(lambda: differences(KafkaAccess(kafka), [wanted]) == [], 10, "the topic is as wanted")


def test_a_topic_nobody_declared_is_not_made_by_writing_to_it(kafka: str) -> None:
    producer = Producer({"bootstrap.servers": kafka, "message.timeout.ms": 2000, "log_level": 0})
    errors: list[object] = []
    producer.produce("misspelt", b"x", on_delivery=lambda error, _: errors.append(error))
    producer.flush(10)
    assert len(errors) == 1
    assert errors[0] is not None
    admin = AdminClient({"bootstrap.servers": kafka})
    assert "misspelt" not in admin.list_topics(timeout=10).topics


def test_the_clean_topic_takes_a_pack_of_almost_four_megabytes(kafka: str) -> None:
    ensure_topics(KafkaAccess(kafka), all_topics())
    write(KafkaAccess(kafka), CLEAN, os.urandom(3_900_000))


def test_a_broker_that_is_frozen_counts_as_away(broker: Running) -> None:
    broker.start()
    assert broker.process is not None
    broker.process.send_signal(signal.SIGSTOP)
    try:
        assert probe("127.0.0.1", broker.port, timeout_s=0.5) is Broker.AWAY
    finally:
        broker.process.send_signal(signal.SIGCONT)
    await_that(lambda: probe("127.0.0.1", broker.port) is Broker.READY, 20, "the broker answers again")
