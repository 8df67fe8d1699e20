"""The files of the embedded broker: server.properties and its log4j2 configuration, each line with its reason."""

from __future__ import annotations

from pathlib import Path

HEAP_MAX_MB = 256
FREE_BYTES_MIN = 256 * 1024 * 1024  # below it a start is refused: a broker that runs full halts anyway
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


def server_properties(log_folder: Path, port: int, controller_port: int) -> str:
    """The broker's configuration: one node, loopback only, quick to start and to come back."""
    lines = {
        "process.roles": "broker,controller",
        "node.id": "1",
        # A static voter: nothing about ports is kept on disk, so a port can be moved between two starts.
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
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
        "num.io.threads": "4",
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
