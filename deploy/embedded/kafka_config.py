"""The files of the embedded broker: server.properties and its log4j2 configuration, each line with its reason."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from deploy.kafka_acls import BROKER
from runtime.kafka_access import SCRAM
from schemas.topics import user_name

HEAP_MAX_MB = 256
FREE_BYTES_MIN = 256 * 1024 * 1024  # below it a start is refused: a broker that runs full halts anyway
OPEN_CONNECTIONS_MAX = 500  # of the listener without a login
MESSAGE_SIZE_MAX = 4 * 1024 * 1024  # bytes; the largest message any topic takes

# Serial collector and first-stage compiler: 150 MB resident instead of 350, ready in 0.7 s instead of 2.1
# (two cores, with the start-up cache of kafka_cache.py). Packs keep the message rate low, so peak speed costs nothing.
JVM_OPTIONS = (
    "-Xms32m",
    f"-Xmx{HEAP_MAX_MB}m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:MaxDirectMemorySize=96m",
    "-XX:+ExitOnOutOfMemoryError",  # a broker that limps is worse than one that is restarted
    "-XX:-UsePerfData",
    "-Xlog:disable",
    "-Xlog:all=error:stderr",
    "--sun-misc-unsafe-memory-access=allow",
    "-Djava.awt.headless=true",
    "-Dfile.encoding=UTF-8",
)


class Ports(NamedTuple):
    """Where the broker listens, on loopback."""

    # Without a login; who comes here may write to one topic: deploy/kafka_acls.py.
    open: int
    programs: int
    controller: int


def server_properties(log_folder: Path, ports: Ports, password: str, *, plain: bool = False) -> str:
    """The broker's configuration: one node, loopback only, quick to start and to come back.

    `password` is the broker's own; `plain` lets its login in while the broker's storage does not know it yet.
    """
    user = user_name(BROKER)
    login = f'required username="{user}" password="{password}"'
    plain_login = f'org.apache.kafka.common.security.plain.PlainLoginModule {login} user_{user}="{password}";'
    lines = {
        "process.roles": "broker,controller",
        "node.id": "1",
        # A static voter: nothing about ports is kept on disk, so a port can be moved between two starts.
        "controller.quorum.voters": f"1@127.0.0.1:{ports.controller}",
        "listeners": f"OPEN://127.0.0.1:{ports.open},PROGRAMS://127.0.0.1:{ports.programs},"
        f"CONTROLLER://127.0.0.1:{ports.controller}",
        "advertised.listeners": f"OPEN://127.0.0.1:{ports.open},PROGRAMS://127.0.0.1:{ports.programs}",
        "listener.security.protocol.map": "OPEN:PLAINTEXT,PROGRAMS:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PROGRAMS",
        # The controller's storage holds the SCRAM logins, so the controller itself cannot be reached by one.
        "sasl.mechanism.controller.protocol": "PLAIN",
        "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.controller.plain.sasl.jaas.config": plain_login,
        "sasl.mechanism.inter.broker.protocol": "PLAIN" if plain else SCRAM,
        "listener.name.programs.sasl.enabled.mechanisms": f"PLAIN,{SCRAM}" if plain else SCRAM,
        "listener.name.programs.scram-sha-256.sasl.jaas.config": "org.apache.kafka.common.security.scram."
        f"ScramLoginModule {login};",
        **({"listener.name.programs.plain.sasl.jaas.config": plain_login} if plain else {}),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        "super.users": f"User:{user}",
        # A crowd without a login keeps itself out, and the programs have threads of their own.
        "listener.name.open.max.connections": str(OPEN_CONNECTIONS_MAX),
        "listener.name.open.num.network.threads": "1",
        # Anybody may invent producer ids, and each is remembered (some 300 bytes) after its last batch. No producer
        # here repeats a batch after 2 minutes; the default is a day.
        "producer.id.expiration.ms": str(10 * 60 * 1000),
        "producer.id.expiration.check.interval.ms": "30000",
        "log.dirs": str(log_folder).replace("\\", "\\\\"),
        # After a kill the broker waits for its own old registration: 4 s with these instead of 12.
        "broker.session.timeout.ms": "2000",
        "broker.heartbeat.interval.ms": "400",
        "auto.create.topics.enable": "false",  # a misspelt topic is an error, not a new topic
        "log.message.timestamp.type": "LogAppendTime",
        "message.max.bytes": str(MESSAGE_SIZE_MAX),
        "replica.fetch.max.bytes": str(MESSAGE_SIZE_MAX),
        "socket.request.max.bytes": str(4 * MESSAGE_SIZE_MAX),
        "num.partitions": "2",
        "default.replication.factor": "1",
        "min.insync.replicas": "1",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "offsets.topic.segment.bytes": str(16 * 1024 * 1024),
        "offsets.retention.minutes": str(
            60 * 24 * 30
        ),  # a group's offsets outlive a month away: they hold the loader's intents
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "2",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        "group.initial.rebalance.delay.ms": "0",  # one worker: nobody else to wait for
        "group.min.session.timeout.ms": "1000",
        "log.segment.bytes": str(128 * 1024 * 1024),  # retention works by whole segments
        "log.index.size.max.bytes": str(2 * 1024 * 1024),  # mapped per segment
        "num.recovery.threads.per.data.dir": "2",
        "log.cleaner.dedupe.buffer.size": str(4 * 1024 * 1024),  # the default of 128 MB is most of the heap
        "log.cleaner.io.buffer.size": str(256 * 1024),
        "num.network.threads": "2",
        "num.io.threads": "8",  # a batch that inflates to gigabytes keeps one busy for seconds
        "background.threads": "2",
        "controlled.shutdown.enable": "true",
    }
    return "".join(f"{name}={value}\n" for name, value in lines.items())


LOG4J2 = """\
# Warnings, and the one line that says the broker is up; the supervisor bounds the file they go to.
Configuration:
  shutdownHook: disable
  Appenders:
    Console:
      name: out
      target: SYSTEM_OUT
      PatternLayout:
        pattern: "%d{ISO8601} %-5p %c{1}: %m%n"
  Loggers:
    Root:
      level: WARN
      AppenderRef:
        - ref: out
    Logger:
      - name: kafka.server.KafkaRaftServer
        level: INFO
"""
