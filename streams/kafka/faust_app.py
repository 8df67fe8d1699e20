"""Seam: Faust, which brings raw messages and says which partitions are ours."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any, Protocol

import faust

from runtime.kafka_access import KafkaAccess
from runtime.settings import PlatformSettings
from schemas.topics import RAW, STREAMS_GROUP
from streams.fault import where
from streams.kafka.gathering import GatheringTransport
from streams.settings import StreamsSettings


class FedByFaust(Protocol):
    """What Faust calls, on its event loop."""

    async def take(self, event: Any) -> None:
        """One raw message, of one partition in order: `event.message` and `event.ack`."""
        ...

    async def assign(self, partitions: set[int]) -> None:
        """These partitions are ours now, and no others."""
        ...

    async def revoke(self) -> None:
        """No partition is ours any more."""
        ...


def build_app(
    settings: PlatformSettings,
    kafka: KafkaAccess,
    streams: StreamsSettings,
    worker: FedByFaust,
    give_up: Callable[[str], None],
) -> faust.App:
    """The Faust application: one agent instance a partition, no tables, no web server, offsets acknowledged by us.

    give_up: ends the process, told why, when the worker raises.
    """
    app = faust.App(
        STREAMS_GROUP,
        broker=[f"kafka://{one.strip()}" for one in kafka.bootstrap.split(",")],
        broker_credentials=credentials(kafka),
        value_serializer="raw",
        key_serializer="raw",
        store="memory://",
        datadir=str(settings.data / "streams"),
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,  # `fairpixel up` makes the topics
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=streams.instance or None,
        broker_session_timeout=6.0,
        broker_heartbeat_interval=1.0,
        broker_commit_interval=1.0,
        broker_max_poll_interval=300.0,
        stream_buffer_maxsize=streams.flight_packs_max * 2,  # packs of at most 1.1 MB
        stream_wait_empty=False,  # the clean log knows what is decided; nobody need wait
        worker_redirect_stdouts=False,
    )
    app.transport = GatheringTransport(app.conf.broker_consumer, app)
    raw = app.topic(RAW, value_type=bytes, key_type=bytes)

    async def decide_packs(stream: Any) -> None:
        try:
            async for event in stream.noack().events():
                await worker.take(event)
        except Exception as error:  # Faust would start the agent again and lose the message
            give_up(where(error))

    app.agent(raw, name="decide_packs", isolated_partitions=True)(decide_packs)

    async def assigned(_app: Any, partitions: Any, *_: Any, **__: Any) -> None:
        await worker.assign({one.partition for one in partitions if one.topic == RAW})

    async def revoked(_app: Any, *_: Any, **__: Any) -> None:
        await worker.revoke()

    signals: Any = app  # Faust's signals are typed for functions that are called without an event loop
    signals.on_partitions_assigned.connect(assigned)
    signals.on_partitions_revoked.connect(revoked)
    return app


def credentials(kafka: KafkaAccess) -> faust.SASLCredentials | faust.SSLCredentials | None:
    """The same access, in Faust's words."""
    context = ssl.create_default_context(cafile=kafka.ca or None) if kafka.is_encrypted else None
    if kafka.has_login:
        return faust.SASLCredentials(
            username=kafka.user, password=kafka.password, mechanism=kafka.mechanism, ssl_context=context
        )
    return faust.SSLCredentials(context) if context else None


def end_if_crashed(app: faust.App, give_up: Callable[[str], None]) -> None:
    """End the process when Faust has ended by itself."""
    if app.crashed:
        give_up(f"Faust ended: {type(app.crash_reason).__name__}")
