"""The embedded broker as `fairpixel up` runs it, alone, with topics, logins and rules; and what a client can try."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from deploy.embedded.kafka_probe import Broker, probe
from deploy.embedded.kafka_wire import Wire, text
from deploy.kafka_acls import BROKER
from runtime.kafka_access import KafkaAccess, find_access
from runtime.settings import PlatformSettings
from schemas.topics import CLEAN, DIRECT, RAW, user_name
from tests.processes import REPO, await_that, free_port

S = 15.0
DENIED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}


class Alone:
    """One broker in a folder of its own."""

    def __init__(self, data: Path, module: str = "deploy.embedded.kafka") -> None:
        self.data = data
        self.module = module
        names = ("KAFKA_PORT", "KAFKA_PROGRAMS_PORT", "KAFKA_CONTROLLER_PORT")
        self.env = {f"FAIRPIXEL_{name}": str(free_port()) for name in names}
        self.env["FAIRPIXEL_DATA"] = str(data)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> PlatformSettings:
        return PlatformSettings.from_env(self.env)

    @property
    def anonymous(self) -> KafkaAccess:
        return KafkaAccess(self.settings.bootstrap)

    @property
    def log(self) -> Path:
        return self.data / "kafka.log"

    def login(self, program: str) -> KafkaAccess:
        return find_access(self.settings, program)

    def start(self) -> None:
        """Start it and set it up as `fairpixel up` does."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.module],
                cwd=REPO, env={**os.environ, **self.env}, stdout=log, stderr=log,
            )  # fmt: skip
        await_that(self._is_ready, 90, "the broker is ready")
        self.set_up()

    def set_up(self) -> str:
        """Run `deploy.topics`; returns what it said."""
        done = subprocess.run(
            [sys.executable, "-m", "deploy.topics"],
            cwd=REPO, env={**os.environ, **self.env}, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()[-2000:]
        with suppress(ValueError):
            login = self.login(BROKER)
            port = self.settings.kafka_programs_port
            return probe("127.0.0.1", port, 1.0, (user_name(BROKER), login.password)) is Broker.READY
        return False


def refusal(attempt: Callable[[], Any]) -> int | None:
    """The broker's code for what was tried; None where it was done."""
    try:
        attempt()
    except KafkaException as error:
        return int(error.args[0].code())
    return None


def is_denied(attempt: Callable[[], Any]) -> bool:
    """True where the broker says that this is not allowed, not merely that it did not work."""
    return refusal(attempt) in DENIED


def write(access: KafkaAccess, topic: str, value: bytes = b"x", **options: Any) -> None:
    """Write one message. Raises KafkaException."""
    producer = Producer({**access.client(), "message.timeout.ms": int(S * 1000), "log_level": 0, **options})
    failed: list[KafkaError] = []
    producer.produce(topic, value, on_delivery=lambda error, _: failed.append(error) if error else None)
    left = producer.flush(S + 2)
    if failed:
        raise KafkaException(failed[0])
    assert left == 0


def write_batch(access: KafkaAccess, topic: str, value: bytes, count: int) -> None:
    """Write many messages as one batch, compressed as well as can be. Raises KafkaException."""
    size = len(value) * count + 1_000_000
    options = {"compression.type": "zstd", "message.max.bytes": size, "batch.size": size, "linger.ms": 60_000}
    limits = {"queue.buffering.max.kbytes": size // 500, "batch.num.messages": count + 1, "log_level": 0}
    producer = Producer({**access.client(), **options, **limits})
    failed: list[KafkaError] = []
    for _ in range(count):
        producer.produce(
            topic, value, partition=0, on_delivery=lambda error, _: failed.append(error) if error else None
        )
    left = producer.flush(60)
    if failed:
        raise KafkaException(failed[0])
    assert left == 0


def read(access: KafkaAccess, topic: str) -> None:
    """Fetch from the start of a topic. Raises KafkaException."""
    start = struct.pack(">iiiib", -1, 100, 1, 100_000, 0) + struct.pack(">i", 1) + text(topic)
    _ask(access, (1, 4), start + struct.pack(">iiqi", 1, 0, 0, 100_000), topic, before=4)


def commit(access: KafkaAccess, topic: str, group: str) -> None:
    """Move a group far ahead, from outside. Raises KafkaException."""
    place = struct.pack(">i", 1) + text(topic) + struct.pack(">iiq", 1, 0, 10**9) + text("a checkpoint")
    _ask(
        access, (8, 2), text(group) + struct.pack(">i", -1) + text("") + struct.pack(">q", -1) + place, topic
    )


def delete_messages(access: KafkaAccess, topic: str) -> None:
    """Delete the first message of a topic. Raises KafkaException."""
    where = struct.pack(">i", 1) + text(topic) + struct.pack(">iiqi", 1, 0, 1, 10_000)
    _ask(access, (21, 0), where, topic, after=12, before=4)


def see_ends(access: KafkaAccess, topic: str) -> None:
    """Ask where a topic ends. Raises KafkaException."""
    _ask(access, (2, 1), struct.pack(">ii", -1, 1) + text(topic) + struct.pack(">iiq", 1, 0, -1), topic)


def see_rules(access: KafkaAccess) -> None:
    """List all rules. Raises KafkaException."""
    with _wire(access) as wire:
        answer = wire.call((29, 1), struct.pack(">bhbhhbb", 1, -1, 1, -1, -1, 1, 1))
        _raise(*struct.unpack_from(">h", answer, 4))


def see_logins(access: KafkaAccess) -> None:
    """List all logins. Raises KafkaException. (The client breaks the process when this is refused.)"""
    with _wire(access) as wire:
        answer = wire.call((50, 0), b"\0\2" + bytes([len(BROKER) + 1]) + BROKER.encode() + b"\0\0")
        _raise(*struct.unpack_from(">h", answer, 5))


def _ask(
    access: KafkaAccess, request: tuple[int, int], body: bytes, topic: str, *, after: int = 4, before: int = 0
) -> None:
    """Send a request about partition 0 of one topic; its answer has that partition's error `after` bytes behind."""
    with _wire(access) as wire:
        answer = wire.call(request, body)
        _raise(*struct.unpack_from(">h", answer, before + 4 + len(text(topic)) + 4 + after))


def _wire(access: KafkaAccess) -> Wire:
    wire = Wire("127.0.0.1", int(access.bootstrap.rpartition(":")[2]), S)
    if access.has_login:
        wire.login(access.user, access.password)
    return wire


def _raise(code: int) -> None:
    if code:
        raise KafkaException(KafkaError(code))


def join(access: KafkaAccess, topic: str, group: str) -> None:
    """Join a group. Raises KafkaException."""
    given: list[object] = []
    consumer = Consumer({**access.client(), "group.id": group, "log_level": 0})
    consumer.subscribe([topic], on_assign=lambda _, partitions: given.append(partitions))
    try:
        for _ in range(100):
            message = consumer.poll(0.2)
            if message is not None and (error := message.error()) is not None:
                raise KafkaException(error)
            if given:
                return
        raise AssertionError("neither let in nor refused")
    finally:
        consumer.close()


def begin_transaction(access: KafkaAccess, name: str) -> None:
    """Become a transactional producer. Raises KafkaException."""
    Producer({**access.client(), "transactional.id": name, "log_level": 0}).init_transactions(S)


def administer(access: KafkaAccess) -> dict[str, Callable[[], Any]]:
    """Everything an administrator may do, each by name."""
    admin = AdminClient({**access.client(), "log_level": 0})

    def all_of(futures: dict[Any, Any]) -> None:
        for future in futures.values():
            future.result(S)

    def alter(kind: ResourceType, name: str, setting: str, value: str) -> Callable[[], None]:
        entry = ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(kind, name, incremental_configs=[entry])
        return lambda: all_of(admin.incremental_alter_configs([resource], request_timeout=S))

    everybody = AclBinding(
        ResourceType.TOPIC, RAW, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*", AclOperation.ALL,
        AclPermissionType.ALLOW,
    )  # fmt: skip
    anything: Any = None
    every_rule = AclBindingFilter(
        ResourceType.ANY, anything, ResourcePatternType.ANY, anything, anything, AclOperation.ANY,
        AclPermissionType.ANY,
    )  # fmt: skip
    password = UserScramCredentialUpsertion(
        user_name(BROKER), ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096), b"mine"
    )
    return {
        "create a topic": lambda: all_of(admin.create_topics([NewTopic("mine", 1)], request_timeout=S)),
        "delete a topic": lambda: all_of(admin.delete_topics([RAW], request_timeout=S)),
        "add partitions": lambda: all_of(admin.create_partitions([NewPartitions(RAW, 9)], request_timeout=S)),
        "change a topic": alter(ResourceType.TOPIC, RAW, "retention.ms", "1"),
        "change the broker": alter(ResourceType.BROKER, "1", "log.retention.ms", "1"),
        "make a rule": lambda: all_of(admin.create_acls([everybody], request_timeout=S)),
        "see the rules": lambda: see_rules(access),
        "remove the rules": lambda: all_of(admin.delete_acls([every_rule], request_timeout=S)),
        "change a login": lambda: all_of(admin.alter_user_scram_credentials([password], request_timeout=S)),
        "see the logins": lambda: see_logins(access),
        "delete messages": lambda: delete_messages(access, RAW),
        "delete clean messages": lambda: delete_messages(access, CLEAN),
        "delete direct messages": lambda: delete_messages(access, DIRECT),
        "see the broker's settings": lambda: all_of(
            admin.describe_configs([ConfigResource(ResourceType.BROKER, "1")], request_timeout=S)
        ),
        "see a foreign group": lambda: all_of(
            admin.describe_consumer_groups(["somebody-elses"], request_timeout=S)
        ),
        "delete a foreign group": lambda: all_of(
            admin.delete_consumer_groups(["somebody-elses"], request_timeout=S)
        ),
        "see a foreign topic": lambda: all_of(
            admin.describe_topics(TopicCollection(["__consumer_offsets"]), request_timeout=S)
        ),
        "see a foreign topic's ends": lambda: see_ends(access, "__consumer_offsets"),
    }
