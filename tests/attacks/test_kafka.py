"""A hostile neighbour of the embedded broker: without a login, with another program's, and with much of everything."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from confluent_kafka import KafkaError
from confluent_kafka.admin import AdminClient

from deploy.embedded.kafka_config import OPEN_CONNECTIONS_MAX
from deploy.embedded.kafka_probe import METADATA, Broker, probe
from deploy.embedded.kafka_wire import SASL_HANDSHAKE, LoginRefused, Wire, text
from deploy.kafka_access import ensure_access, missing_rules
from deploy.kafka_acls import BROKER, PROGRAMS, Rule, all_rules
from ingest.direct.inbox import KafkaInbox
from runtime.kafka_access import KafkaAccess
from schemas.topics import CLEAN, DIRECT, RAW, all_topics, user_name
from tests.attacks.kafka_broker import (
    Alone,
    administer,
    begin_transaction,
    commit,
    is_denied,
    join,
    read,
    refusal,
    write,
    write_batch,
)
from tests.processes import REPO, await_that

pytestmark = pytest.mark.usefixtures("kafka_installed")
GONE = r"closed|reset"
TOPICS = [topic.name for topic in all_topics()]
GROUPS = sorted({rule.name for rule in all_rules() if rule.resource == "group"})
ADMINISTRATION = sorted(administer(KafkaAccess("127.0.0.1:9")))


@pytest.fixture(scope="module")
def broker(kafka_installed: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alone]:
    alone = Alone(tmp_path_factory.mktemp("neighbours"))
    try:
        alone.start()
        yield alone
    finally:
        alone.stop()


def allowed(program: str, resource: str, name: str) -> set[str]:
    return {
        operation
        for rule in all_rules()
        if (rule.principal, rule.resource, rule.name) == (user_name(program), resource, name)
        for operation in rule.operations
    }


@pytest.mark.parametrize("idempotent", [True, False])
def test_without_a_login_the_direct_topic_can_be_written(broker: Alone, idempotent: bool) -> None:
    for codec in ("none", "gzip", "lz4", "zstd", "snappy"):
        write(broker.anonymous, DIRECT, **{"enable.idempotence": idempotent, "compression.type": codec})


@pytest.mark.parametrize(
    "topic", [*(name for name in TOPICS if name != DIRECT), "__consumer_offsets", "other"]
)
def test_without_a_login_no_other_topic_can_be_written(broker: Alone, topic: str) -> None:
    for idempotent in (True, False):
        assert is_denied(lambda: write(broker.anonymous, topic, **{"enable.idempotence": idempotent}))  # noqa: B023


@pytest.mark.parametrize("topic", [*TOPICS, "__consumer_offsets"])
def test_without_a_login_nothing_can_be_read(broker: Alone, topic: str) -> None:
    assert is_denied(lambda: read(broker.anonymous, topic))


@pytest.mark.parametrize("group", [*GROUPS, "mine"])
def test_without_a_login_no_group_can_be_joined_or_moved(broker: Alone, group: str) -> None:
    assert is_denied(lambda: commit(broker.anonymous, DIRECT, group))
    assert is_denied(lambda: join(broker.anonymous, DIRECT, group))


@pytest.mark.parametrize("what", ADMINISTRATION)
def test_without_a_login_nothing_is_administered(broker: Alone, what: str) -> None:
    assert is_denied(administer(broker.anonymous)[what])


def test_without_a_login_there_is_one_topic_and_no_group_to_see(broker: Alone) -> None:
    admin = AdminClient({**broker.anonymous.client(), "log_level": 0})
    assert set(admin.list_topics(timeout=10).topics) == {DIRECT}
    assert admin.list_consumer_groups(request_timeout=10).result(10).valid == []


def test_without_a_login_there_are_no_transactions_and_no_quotas(broker: Alone) -> None:
    assert is_denied(lambda: begin_transaction(broker.anonymous, "mine"))
    with Wire("127.0.0.1", broker.settings.kafka_port, 10) as wire, pytest.raises(OSError, match="error 31"):
        wire.set_user_quotas("ANONYMOUS", {"producer_byte_rate": 1e12})


@pytest.mark.parametrize("key", [0, 1, 3, 19, 29, 32, 44, 52, 53, 59, 62, 63, 71, 74])
def test_the_controller_answers_nobody_without_its_login(broker: Alone, key: int) -> None:
    with (
        Wire("127.0.0.1", broker.settings.kafka_controller_port, 10) as wire,
        pytest.raises(OSError, match=GONE),
    ):
        wire.call((key, 0), struct.pack(">i", 0))


@pytest.mark.parametrize("program", [*PROGRAMS, "guess"])
def test_the_controller_takes_no_login_but_the_brokers(broker: Alone, program: str) -> None:
    password = broker.login(program).password if program in PROGRAMS else "guess"
    for user in (user_name(program), user_name(BROKER)):
        with Wire("127.0.0.1", broker.settings.kafka_controller_port, 10) as wire:
            wire.call(SASL_HANDSHAKE, text("PLAIN"))
            data = f"\0{user}\0{password}".encode()
            error, *_ = struct.unpack_from(">h", wire.call((36, 0), struct.pack(">i", len(data)) + data))
            assert error == KafkaError.SASL_AUTHENTICATION_FAILED


def test_the_programs_listener_answers_nobody_without_a_login(broker: Alone) -> None:
    port = broker.settings.kafka_programs_port
    with Wire("127.0.0.1", port, 10) as wire, pytest.raises(OSError, match=GONE):
        wire.call(METADATA, struct.pack(">i", 0))
    with Wire("127.0.0.1", port, 10) as wire, pytest.raises(LoginRefused):
        wire.login(user_name(BROKER), "guess")
    # Not even the right password is taken in the open.
    with Wire("127.0.0.1", port, 10) as wire:
        assert wire.call(SASL_HANDSHAKE, text("PLAIN"))[:2] == struct.pack(">h", 33)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_reads_and_writes_what_its_rules_say_and_nothing_else(broker: Alone, program: str) -> None:
    access = broker.login(program)
    for topic in TOPICS:
        may = allowed(program, "topic", topic)
        assert is_denied(lambda: read(access, topic)) is ("read" not in may), topic  # noqa: B023
        if topic == RAW or "write" not in may:  # others are read by tests beside this one
            assert is_denied(lambda: write(access, topic)) is ("write" not in may), topic  # noqa: B023


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_moves_no_group_but_its_own(broker: Alone, program: str) -> None:
    access = broker.login(program)
    readable = next((one for one in TOPICS if "read" in allowed(program, "topic", one)), RAW)
    for group in (*GROUPS, "mine"):
        may = "read" in allowed(program, "group", group)
        assert is_denied(lambda: commit(access, readable, group)) is not may, group  # noqa: B023


@pytest.mark.parametrize("program", PROGRAMS)
def test_no_program_administers_the_broker(broker: Alone, program: str) -> None:
    attempts = administer(broker.login(program))
    assert [what for what in ADMINISTRATION if not is_denied(attempts[what])] == []


def test_a_rule_that_is_not_on_the_list_goes_with_the_next_start(broker: Alone) -> None:
    kafka = broker.login(BROKER)
    admin = AdminClient({**kafka.client(), "log_level": 0})
    foreign = Rule("ANONYMOUS", "topic", CLEAN, ("write",), "somebody had it once")
    ensure_access(admin, kafka, broker.settings, (*all_rules(), foreign))
    assert not is_denied(lambda: write(broker.anonymous, CLEAN))
    assert "no longer allowed User:ANONYMOUS to write topic events.clean.v1" in broker.set_up()
    assert is_denied(lambda: write(broker.anonymous, CLEAN))
    assert broker.set_up() == ""
    assert missing_rules(admin, all_rules()) == (set(), set())


@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd", "snappy"])
@pytest.mark.parametrize("filler", [b"a", b"\0"])
def test_a_message_that_is_small_only_while_compressed_is_refused(
    broker: Alone, codec: str, filler: bytes
) -> None:
    bomb = filler * (60_000_000 if codec != "snappy" else 10_000_000)
    options = {
        "compression.type": codec,
        "message.max.bytes": 100_000_000,
        "queue.buffering.max.kbytes": 200_000,
    }
    found = refusal(lambda: write(broker.anonymous, DIRECT, bomb, **options))
    assert found in (KafkaError.INVALID_RECORD, KafkaError.MSG_SIZE_TOO_LARGE)


def test_a_batch_that_unpacks_to_hundreds_of_megabytes_is_passed_over_and_named(broker: Alone) -> None:
    last = uuid.uuid4().bytes
    write_batch(broker.anonymous, DIRECT, b"\0" * 1_000_000, 200)
    write(broker.anonymous, DIRECT, last)
    inbox = KafkaInbox(broker.login("ingest"))
    read_so_far: list[bytes] = []

    def has_both() -> bool:
        read_so_far.extend(message.value for message in inbox.fetch(50, 0.5))
        return last in read_so_far and b"" in read_so_far

    try:
        await_that(has_both, 60, "what follows the batch is read, and an empty message stands for it")
    finally:
        inbox.close()
    assert b"\0" * 1_000_000 not in read_so_far


def test_a_crowd_on_the_open_listener_keeps_no_program_out(broker: Alone) -> None:
    with ExitStack() as crowd:
        for _ in range(OPEN_CONNECTIONS_MAX + 100):
            one = crowd.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", broker.settings.kafka_port))
        for program in PROGRAMS:
            access = broker.login(program)
            login = (access.user, access.password)
            assert probe("127.0.0.1", broker.settings.kafka_programs_port, 10, login) is Broker.READY
        write(broker.login("ingest"), RAW)
    await_that(lambda: refusal(lambda: write(broker.anonymous, DIRECT)) is None, 60, "there is room again")


def test_no_password_is_readable_by_others_or_stands_in_a_log_or_command_line(broker: Alone) -> None:
    passwords = [broker.login(program).password for program in (BROKER, *PROGRAMS)]
    assert broker.process is not None
    said = broker.log.read_text() + broker.set_up()
    for part in ("cmdline", "environ"):
        said += Path(f"/proc/{broker.process.pid}/{part}").read_bytes().decode("utf-8", "replace")
    assert not [one for one in passwords if one in said]
    holding = [
        path
        for path in broker.data.rglob("*")
        if path.is_file() and any(one.encode() in path.read_bytes() for one in passwords)
    ]
    assert {path.name for path in holding} == {BROKER, *PROGRAMS, "server.properties"}
    assert {path.stat().st_mode & 0o077 for path in holding} == {0}


def test_a_refused_login_is_named_with_where_it_comes_from_and_never_shown(broker: Alone) -> None:
    env = {
        **os.environ,
        **broker.env,
        "FAIRPIXEL_KAFKA_BOOTSTRAP": f"127.0.0.1:{broker.settings.kafka_programs_port}",
        "FAIRPIXEL_KAFKA_SECURITY": "sasl_plaintext",
        "FAIRPIXEL_KAFKA_USER": user_name("operator"),
        "FAIRPIXEL_KAFKA_PASSWORD": "not-the-password",
    }
    done = subprocess.run(
        [sys.executable, "-m", "deploy.cli", "replay"],
        cwd=REPO, env=env, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "FAIRPIXEL_KAFKA_PASSWORD" in done.stderr
    assert "not-the-password" not in done.stdout + done.stderr


def test_logins_that_are_made_anew_replace_the_old_ones_and_the_data_stays(tmp_path: Path) -> None:
    alone = Alone(tmp_path)
    try:
        alone.start()
        write(alone.login("ingest"), RAW)
        old = alone.login(BROKER), alone.login("streams")
        alone.stop()
        for path in alone.settings.kafka_logins.iterdir():
            path.unlink()
        alone.start()
        read(alone.login("streams"), RAW)
        port = alone.settings.kafka_programs_port
        for one in old:
            assert probe("127.0.0.1", port, 10, (one.user, one.password)) is Broker.STARTING
    finally:
        alone.stop()
