"""Logins in a storage that does not know them: one of a version without logins, or rotated passwords.

SCRAM logins lie in the broker's storage, and only a broker that runs writes there. So it runs once, for seconds, on
ports nobody knows, where its own password is taken as it is; the listeners people know never take one that way.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from deploy.embedded import kafka_cache
from deploy.kafka_access import set_password
from deploy.kafka_acls import BROKER
from deploy.kafka_logins import write_private
from runtime.kafka_access import KafkaAccess
from schemas.topics import user_name

READY_S_MAX = 60.0
STOP_S_MAX = 30.0


def is_known(folder: Path, logins: Mapping[str, str]) -> bool:
    """Whether the storage knows these passwords, by what was remembered."""
    try:
        return _mark(folder).read_text("utf-8") == _digest(logins)
    except OSError:
        return False


def remember(folder: Path, logins: Mapping[str, str]) -> None:
    """The storage knows these passwords from now on. Raises OSError."""
    write_private(_mark(folder), _digest(logins))


def make_known(folder: Path, command: Sequence[str], logins: Mapping[str, str]) -> None:
    """Run the broker once and give it the logins. Raises subprocess.SubprocessError when that does not work."""
    ports = kafka_cache.free_ports()
    properties = kafka_cache.write_files(folder, ports, logins[BROKER], plain=True)
    address = f"127.0.0.1:{ports.programs}"
    access = KafkaAccess(address, user_name(BROKER), logins[BROKER], "sasl_plaintext", "PLAIN")
    with subprocess.Popen(
        [*command, "kafka.Kafka", str(properties)], stdout=sys.stderr, cwd=folder
    ) as broker:
        try:
            _set_passwords(broker, access, logins)
        finally:
            broker.terminate()
            try:
                broker.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                broker.kill()
    remember(folder, logins)


def _set_passwords(broker: subprocess.Popen[bytes], access: KafkaAccess, logins: Mapping[str, str]) -> None:
    admin = AdminClient({**access.client(), "log_level": 0, "reconnect.backoff.max.ms": 200})
    deadline = time.monotonic() + READY_S_MAX
    while True:
        try:
            for program, password in logins.items():
                set_password(admin, user_name(program), password)
            return
        except (KafkaException, TimeoutError):
            if broker.poll() is not None or time.monotonic() > deadline:
                raise subprocess.SubprocessError("the broker did not take the logins") from None
            time.sleep(0.1)


def _mark(folder: Path) -> Path:
    return folder / "login-known"


def _digest(logins: Mapping[str, str]) -> str:
    return hashlib.sha256(repr(sorted(logins.items())).encode()).hexdigest()
