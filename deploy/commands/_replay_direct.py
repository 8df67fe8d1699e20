"""The way back for dead letters of the direct topic, and how a message goes back to any topic."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.errors import UserError

if TYPE_CHECKING:
    from runtime.kafka_access import KafkaAccess
    from schemas.dead_letter import DeadLetter
    from schemas.ring import Ring

SEND_S_MAX = 30.0


def replay_direct(kafka: KafkaAccess, dead_letter: DeadLetter, ring: Ring, file: Path | None) -> str:
    """Open the letter, or take the mended message, and write it to the direct topic; what was done, as a sentence.

    The message says where it lay first, so an event without an id keeps the id of that place however often it is
    replayed. Raises UserError where it would become a dead letter again.
    """
    from schemas.avro_codec import PackError
    from schemas.direct import ORIGIN_HEADER, encode_origin, open_dead_letter

    try:
        value = file.read_bytes() if file is not None else open_dead_letter(dead_letter, ring)
    except PackError as error:
        raise UserError(
            f"It cannot be opened: {error.reason}.",
            "Restore the key ring's folder, or give the message mended: --file.",
        ) from None
    except OSError as error:
        raise UserError(
            f"{file} cannot be read: {error.strerror}.", "Name a file with the mended message."
        ) from None
    why = _why_refused(value)
    if why:
        raise UserError(
            f"It would become a dead letter again: {why}.",
            "Give it mended (--file), or add its site to fairpixel.toml, then replay.",
        )
    headers = [(ORIGIN_HEADER, encode_origin(dead_letter.origin))]
    send(kafka, dead_letter.topic, dead_letter.origin.partition, value, headers)
    return f"back on {dead_letter.topic}, partition {dead_letter.origin.partition}, {len(value)} bytes."


def is_readable(dead_letter: DeadLetter, ring: Ring) -> bool:
    """Whether it is a direct message that the edge would take by now."""
    from schemas.avro_codec import PackError
    from schemas.direct import open_dead_letter
    from schemas.topics import DIRECT

    if dead_letter.topic != DIRECT:
        return False
    try:
        return not _why_refused(open_dead_letter(dead_letter, ring))
    except PackError:
        return False


def send(
    kafka: KafkaAccess, topic: str, partition: int, value: bytes, headers: Sequence[tuple[str, bytes]] = ()
) -> None:
    """Write one message and wait for the brokers' word. Raises UserError, KafkaUnavailable."""
    from confluent_kafka import Producer

    from runtime.kafka import KafkaUnavailable, Outgoing, deliver, kafka_errors_as_ours

    with kafka_errors_as_ours():
        producer = Producer({**kafka.client(), "enable.idempotence": True, "log_level": 0})
    try:
        deliver(producer, [Outgoing(topic, value, tuple(headers), partition)], SEND_S_MAX)
    except KafkaUnavailable as error:
        raise UserError(f"Kafka did not take the message: {error}.", "See fairpixel status.") from None


def _why_refused(value: bytes) -> str:
    """What the edge would say of the message with today's configuration; "" where it would take it."""
    import time

    from deploy.local import Platform
    from ingest.direct.endpoint import Dead, read_direct
    from ingest.direct.inbox import DirectMessage
    from ingest.reading.sites import Sites
    from runtime.config import ConfigError, read_config
    from runtime.secrets import SecretsError, read_secrets
    from schemas.links import Origin

    settings = Platform.from_env(os.environ).settings
    try:
        secrets = read_secrets(settings.secrets_path, os.environ)
        sites = Sites.of(read_config(settings.config_path), secrets.site_secret_keys)
    except (OSError, ConfigError, SecretsError):
        raise UserError("The configuration cannot be read.", "Check with: fairpixel config check") from None
    now_ms = time.time_ns() // 1_000_000
    found = read_direct(DirectMessage(Origin("", 0, 0), now_ms, value), sites, now_ms)
    return found.rejection.detail or str(found.reason) if isinstance(found, Dead) else ""
