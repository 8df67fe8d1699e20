"""A start-up cache of the broker's classes, made once a machine: ready in 0.7 s instead of 1.7, half the CPU.

Java 24 and later can keep classes loaded and linked in a file. It is an optimisation and no more: where it cannot
be made, or does not fit the Java in use, the broker starts without it.
"""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from deploy.embedded import kafka_config
from deploy.embedded.kafka_probe import Broker, probe

TRAINING_S_MAX = 60.0


def cache_options(cache: Path) -> list[str]:
    """The Java options that use the cache, none when there is none."""
    return [f"-XX:AOTCache={cache}"] if cache.exists() else []


def cache_file(folder: Path, java: Path, class_path: Sequence[Path]) -> Path:
    """Its name follows from all it depends on: Java, jars and options."""
    release = java.parent.parent / "release"
    text = "\n".join([release.read_text(encoding="utf-8"), *kafka_config.JVM_OPTIONS, *map(str, class_path)])
    return folder / f"startup-{hashlib.sha256(text.encode()).hexdigest()[:12]}.aot"


def make_cache(cache: Path, java: Path, class_path: Sequence[Path]) -> bool:
    """Run a broker once in a temporary folder and keep what it loaded. False when that did not work: no harm."""
    with TemporaryDirectory(prefix="fairpixel-kafka-") as scratch:
        part = cache.with_suffix(f".{os.getpid()}.part")
        port, controller_port = _free_ports()
        try:
            format_storage(Path(scratch), java, class_path, port, controller_port)
            properties = write_files(Path(scratch), port, controller_port)
            command = java_command(java, class_path, Path(scratch), [f"-XX:AOTCacheOutput={part}"])
            with subprocess.Popen(
                [*command, "kafka.Kafka", str(properties)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ) as broker:
                _await_ready(broker, port)
                broker.terminate()
                try:
                    broker.wait(TRAINING_S_MAX)
                except subprocess.TimeoutExpired:
                    broker.kill()
                    return False
            os.replace(part, cache)
        except (OSError, subprocess.SubprocessError):
            part.unlink(missing_ok=True)
            return False
        finally:
            Path(f"{part}.config").unlink(missing_ok=True)
    return True


def java_command(java: Path, class_path: Sequence[Path], folder: Path, more: Sequence[str] = ()) -> list[str]:
    """The command up to the main class; log4j2.yaml is read from `folder`."""
    joined = os.pathsep.join(map(str, class_path))
    log = f"-Dlog4j2.configurationFile={folder / 'log4j2.yaml'}"
    return [str(java), *kafka_config.JVM_OPTIONS, *more, log, "-cp", joined]


def write_files(folder: Path, port: int, controller_port: int) -> Path:
    """Write log4j2.yaml and server.properties into `folder`; returns the latter."""
    (folder / "log4j2.yaml").write_text(kafka_config.LOG4J2, encoding="utf-8")
    properties = folder / "server.properties"
    properties.write_text(
        kafka_config.server_properties(folder / "log", port, controller_port), encoding="utf-8"
    )
    return properties


def format_storage(
    folder: Path, java: Path, class_path: Sequence[Path], port: int, controller_port: int
) -> None:
    """Give `folder` a storage, once: it is made aside and appears whole, so a cut-off first run leaves nothing half."""
    import base64
    import shutil
    import uuid

    if (folder / "log" / "meta.properties").exists():
        return
    aside = folder / "new"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    text = kafka_config.server_properties(aside / "log", port, controller_port)
    (aside / "server.properties").write_text(text, encoding="utf-8")
    (aside / "log4j2.yaml").write_text(kafka_config.LOG4J2, encoding="utf-8")
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    command = java_command(java, class_path, aside)
    arguments = ["format", f"--cluster-id={cluster}", "--config", str(aside / "server.properties")]
    subprocess.run(
        [*command, "kafka.tools.StorageTool", *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=TRAINING_S_MAX,
    )
    shutil.rmtree(folder / "log", ignore_errors=True)  # without meta.properties it never was a storage
    os.replace(aside / "log", folder / "log")
    shutil.rmtree(aside, ignore_errors=True)


def _await_ready(broker: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + TRAINING_S_MAX
    while probe("127.0.0.1", port, 0.5) is not Broker.READY:
        if broker.poll() is not None or time.monotonic() > deadline:
            broker.kill()
            raise subprocess.SubprocessError("the broker did not start")
        time.sleep(0.1)


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]
