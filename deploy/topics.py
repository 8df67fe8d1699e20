"""Create the topics and bring their settings to what `schemas.topics` says: `python -m deploy.topics`.

Idempotent: run at every start, it changes nothing when everything stands as it should.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from deploy.kafka_access import ensure_access
from deploy.kafka_acls import BROKER, all_rules
from runtime.errors import UserError
from runtime.kafka_access import KafkaAccess, find_access
from runtime.settings import PlatformSettings, SettingError
from schemas.topics import PARTITIONS_DEFAULT, Topic, all_topics
from sinks.settings import SinksSettings

ASK_S_MAX = 10.0
SETTLE_S_MAX = 10.0


def ensure_topics(kafka: KafkaAccess, topics: Sequence[Topic], wait_s_max: float = 60.0) -> list[str]:
    """Make every topic stand as asked for; returns a line for each change made.

    Partitions are added but never taken away. Waits for the broker up to `wait_s_max`. Raises UserError.
    """
    admin = connect(kafka, wait_s_max)
    deadline = time.monotonic() + SETTLE_S_MAX
    done: list[str] = []
    try:
        done += _create(admin, topics)
        while True:  # a topic made a moment ago may not be known everywhere yet
            try:
                return [*done, *_add_partitions(admin, topics), *_configure(admin, topics)]
            except KafkaException as error:
                unknown = error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART
                if not unknown or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
    except KafkaException as error:
        raise UserError(
            f"The topics cannot be set up on {kafka.bootstrap}: {error.args[0].str()}.",
            "Check the broker's log (kafka.log in the logs folder) and that it is running: fairpixel status.",
        ) from None


def connect(kafka: KafkaAccess, wait_s_max: float = 60.0) -> AdminClient:
    """An administrator of a broker that answers. Raises UserError."""
    try:
        admin = AdminClient({**kafka.client(), "log_level": 0, "reconnect.backoff.max.ms": 500})
    except KafkaException as error:
        raise UserError(
            f"No client of Kafka can be made: {error.args[0].str()}.", "Check FAIRPIXEL_KAFKA_*."
        ) from None
    _wait_for_broker(admin, kafka, wait_s_max)
    return admin


def differences(kafka: KafkaAccess, topics: Sequence[Topic], timeout_s: float = 3.0) -> list[str]:
    """What is not as it should be, a line each; empty when all is well. Changes nothing. Raises UserError."""
    admin = connect(kafka, timeout_s)
    found = admin.list_topics(timeout=timeout_s).topics
    lines = [f"{topic.name}: missing" for topic in topics if topic.name not in found]
    there = [topic for topic in topics if topic.name in found]
    lines += [
        f"{topic.name}: {len(found[topic.name].partitions)} partitions, expected {topic.partitions}"
        for topic in there
        if len(found[topic.name].partitions) < topic.partitions
    ]
    for topic, changes in _wrong_settings(admin, there):
        lines += [f"{topic.name}: {name} is not {value}" for name, value in changes.items()]
    return lines


def _wait_for_broker(admin: AdminClient, kafka: KafkaAccess, wait_s_max: float) -> None:
    deadline = time.monotonic() + wait_s_max
    while True:
        try:
            if admin.list_topics(timeout=min(1.0, wait_s_max)).brokers:
                return
        except KafkaException:
            admin.poll(0)  # says so where the login is refused
        if time.monotonic() > deadline:
            raise UserError(
                f"No Kafka broker answers at {kafka.bootstrap}.",
                "Start the platform (make up), or check FAIRPIXEL_KAFKA_BOOTSTRAP and FAIRPIXEL_KAFKA_PASSWORD.",
            )
        time.sleep(0.1)


def _create(admin: AdminClient, topics: Sequence[Topic]) -> list[str]:
    present = admin.list_topics(timeout=ASK_S_MAX).topics
    missing = [topic for topic in topics if topic.name not in present]
    if not missing:
        return []
    new = [
        NewTopic(
            topic.name, num_partitions=topic.partitions, replication_factor=-1, config=dict(topic.config)
        )
        for topic in missing
    ]  # -1: as many replicas as the cluster's default says
    for future in admin.create_topics(new, operation_timeout=ASK_S_MAX).values():
        _settle(future, KafkaError.TOPIC_ALREADY_EXISTS)
    return [f"created {topic.name} with {topic.partitions} partitions" for topic in missing]


def _add_partitions(admin: AdminClient, topics: Sequence[Topic]) -> list[str]:
    present = admin.list_topics(timeout=ASK_S_MAX).topics
    small = [t for t in topics if t.name in present and 0 < len(present[t.name].partitions) < t.partitions]
    if not small:
        return []
    for future in admin.create_partitions([NewPartitions(t.name, t.partitions) for t in small]).values():
        _settle(future)
    return [f"raised {topic.name} to {topic.partitions} partitions" for topic in small]


def _configure(admin: AdminClient, topics: Sequence[Topic]) -> list[str]:
    wrong = _wrong_settings(admin, topics)
    if not wrong:
        return []
    resources = [
        ConfigResource(
            ResourceType.TOPIC,
            topic.name,
            incremental_configs=[
                ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
                for name, value in changes.items()
            ],
        )
        for topic, changes in wrong
    ]
    for future in admin.incremental_alter_configs(resources).values():
        _settle(future)
    return [
        f"set {name}={value} on {topic.name}" for topic, changes in wrong for name, value in changes.items()
    ]


def _wrong_settings(admin: AdminClient, topics: Sequence[Topic]) -> list[tuple[Topic, dict[str, str]]]:
    by_name = {topic.name: topic for topic in topics}
    if not by_name:
        return []
    asked = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name) for name in by_name])
    wrong = []
    for resource, future in asked.items():
        topic = by_name[resource.name]
        entries = _settle(future)
        changes = {
            name: value
            for name, value in {**topic.config, **topic.newer}.items()
            if _is_wrong(entries.get(name), value, optional=name in topic.newer)
        }
        if changes:
            wrong.append((topic, changes))
    return wrong


def _is_wrong(entry: ConfigEntry | None, value: str, *, optional: bool) -> bool:
    return not optional if entry is None else entry.value != value


def _settle(future, harmless: int | None = None):  # type: ignore[no-untyped-def]
    try:
        return future.result(timeout=ASK_S_MAX)
    except KafkaException as error:
        if error.args[0].code() != harmless:
            raise
        return None


def main() -> None:
    """Set the topics, and on our own broker who may do what, up; one line for each change.

    `--access` does the latter on another broker too, with the login of FAIRPIXEL_KAFKA_USER.
    """
    try:
        settings = PlatformSettings.from_env(os.environ)
        kafka = find_access(settings, BROKER)
        done: list[str] = []
        if not settings.kafka_bootstrap or "--access" in sys.argv[1:]:
            rules = all_rules(SinksSettings.from_env(os.environ).group)
            done += ensure_access(connect(kafka), kafka, settings, rules)
        done += ensure_topics(kafka, all_topics(settings.kafka_partitions or PARTITIONS_DEFAULT))
        print("".join(f"{line}\n" for line in done), end="", flush=True)
    except (UserError, SettingError) as problem:
        sys.exit(f"topics: {problem}")


if __name__ == "__main__":
    main()
