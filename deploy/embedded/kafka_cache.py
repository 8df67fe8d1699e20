"""A start-up cache of the broker's classes, made once a machine: ready in 0.7 s instead of 1.7, half the CPU.

Java 24 and later can keep classes loaded and linked in a file. It is an optimisation and no more: where it cannot
be made, or does not fit the Java in use, the broker starts without it.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from deploy.embedded import kafka_config
from deploy.embedded.kafka_config import Ports
from deploy.embedded.kafka_probe import Broker, probe
from deploy.kafka_acls import BROKER
from deploy.kafka_logins import write_private
from runtime.kafka_access import SCRAM
from schemas.topics import user_name

TRAINING_S_MAX = 60.0


def cache_options(cache: Path) -> list[str]:
    """The Java options that use the cache, none when there is none."""
    return [f"-XX:AOTCache={cache}"] if cache.exists() else []


def cache_file(folder: Path, java: Path, class_path: Sequence[Path]) -> Path:
    """Its name follows from all it depends on: Java, jars and options."""
    release = java.parent.parent / "release"
    parts = (release.read_text(encoding="utf-8"), *kafka_config.JVM_OPTIONS, *map(str, class_path))
    # The configuration decides which classes the broker loads, its logins among them.
    properties = kafka_config.server_properties(Path("log"), Ports(1, 2, 3), "")
    text = "\n".join([*parts, properties])
    return folder / f"startup-{hashlib.sha256(text.encode()).hexdigest()[:12]}.aot"


def make_cache(cache: Path, java: Path, class_path: Sequence[Path]) -> bool:
    """Run a broker once in a temporary folder and keep what it loaded. False when that did not work: no harm."""
    with TemporaryDirectory(prefix="fairpixel-kafka-") as scratch:
        part = cache.with_suffix(f".{os.getpid()}.part")
        ports, logins = free_ports(), {BROKER: secrets.token_urlsafe(32)}
        try:
            format_storage(Path(scratch), java, class_path, ports, logins)
            properties = write_files(Path(scratch), ports, logins[BROKER])
            command = java_command(java, class_path, Path(scratch), [f"-XX:AOTCacheOutput={part}"])
            with subprocess.Popen(
                [*command, "kafka.Kafka", str(properties)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ) as broker:
                _await_ready(broker, ports.programs, (user_name(BROKER), logins[BROKER]))
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


def write_files(folder: Path, ports: Ports, password: str, *, plain: bool = False) -> Path:
    """Write log4j2.yaml and server.properties into `folder`, the latter for its owner alone; returns it."""
    (folder / "log4j2.yaml").write_text(kafka_config.LOG4J2, encoding="utf-8")
    properties = folder / "server.properties"
    text = kafka_config.server_properties(folder / "log", ports, password, plain=plain)
    write_private(properties, text)
    return properties


def format_storage(
    folder: Path, java: Path, class_path: Sequence[Path], ports: Ports, logins: Mapping[str, str]
) -> bool:
    """Give `folder` a storage that knows all logins, once; True when that was now.

    It is made aside and appears whole, so a cut-off first run leaves nothing half.
    """
    import base64
    import shutil
    import uuid

    if (folder / "log" / "meta.properties").exists():
        return False
    aside = folder / "new"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    properties = write_files(aside, ports, logins[BROKER])
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    command = java_command(java, class_path, aside)
    arguments = ["format", f"--cluster-id={cluster}", "--config", str(properties)]
    for program, password in logins.items():
        arguments += ["--add-scram", f"{SCRAM}=[name={user_name(program)},password={password}]"]
    # In a file, for everybody on the machine reads a command line.
    write_private(aside / "arguments", "\n".join(arguments))
    subprocess.run(
        [*command, "kafka.tools.StorageTool", f"@{aside / 'arguments'}"],
        check=True,
        capture_output=True,
        text=True,
        timeout=TRAINING_S_MAX,
    )
    shutil.rmtree(folder / "log", ignore_errors=True)  # without meta.properties it never was a storage
    os.replace(aside / "log", folder / "log")
    shutil.rmtree(aside, ignore_errors=True)
    return True


def _await_ready(broker: subprocess.Popen[bytes], port: int, login: tuple[str, str]) -> None:
    deadline = time.monotonic() + TRAINING_S_MAX
    while probe("127.0.0.1", port, 0.5, login) is not Broker.READY:
        if broker.poll() is not None or time.monotonic() > deadline:
            broker.kill()
            raise subprocess.SubprocessError("the broker did not start")
        time.sleep(0.1)


def free_ports() -> Ports:
    """Ports nobody listens on now."""
    with socket.socket() as one, socket.socket() as two, socket.socket() as three:
        for each in (one, two, three):
            each.bind(("127.0.0.1", 0))
        return Ports(*(each.getsockname()[1] for each in (one, two, three)))
