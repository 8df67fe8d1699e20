"""Commands where something is missing or wrong: plain words with what to do, exit code 1, and never a traceback."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from deploy import doctor
from deploy.cli import main
from deploy.data_folder import make_data_folder
from runtime.settings import PlatformSettings
from tests.processes import free_port

KAFKA_COMMANDS = ("tail", "replay", "ledger", "logs import", "logs follow")


class EmptyWarehouse:
    """A ClickHouse that answers every question with no row."""

    def rows(self, sql: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        del sql, params
        return []


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A platform that was made and does not run; nobody listens on its ports."""
    environ = {
        "FAIRPIXEL_DATA": str(tmp_path / "data"),
        "FAIRPIXEL_KEYS": str(tmp_path / "keys"),
        **{
            f"FAIRPIXEL_{name}_PORT": str(free_port())
            for name in ("EDGE", "CLICKHOUSE", "KAFKA", "KAFKA_PROGRAMS")
        },
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    make_data_folder(PlatformSettings.from_env(environ))
    monkeypatch.setattr("deploy.commands._warehouse.connect_reader", lambda _: EmptyWarehouse())
    return tmp_path / "data"


def call(folder: Path, command: str) -> None:
    """Run a command as people type it, on a log where it needs one. Raises SystemExit."""
    log = folder / "access.log"
    log.write_text('203.0.113.7 - - [01/Jan/2026:00:00:00 +0000] "GET / HTTP/1.1" 200 1 "-" "-"\n')
    words = command.split()
    main([*words, str(log), "--site", "demo"] if words[0] == "logs" else words)


def refusal(folder: Path, capfd: pytest.CaptureFixture[str], command: str) -> str:
    """What the command says as it ends."""
    with pytest.raises(SystemExit) as ended:
        call(folder, command)
    told = capfd.readouterr().err
    assert ended.value.code == 1, told
    return told


@pytest.mark.parametrize("command", KAFKA_COMMANDS)
def test_a_login_to_kafka_that_is_missing_is_named(
    folder: Path, capfd: pytest.CaptureFixture[str], command: str
) -> None:
    login = folder / "kafka-logins" / "operator"
    login.unlink()
    what, hint = refusal(folder, capfd, command).splitlines()
    assert what.startswith(f"fairpixel: There is no usable login to Kafka: {login}: not found")
    assert "FAIRPIXEL_DATA" in hint


@pytest.mark.parametrize("command", KAFKA_COMMANDS)
def test_a_way_to_kafka_that_is_not_known_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], command: str
) -> None:
    monkeypatch.setenv("FAIRPIXEL_KAFKA_BOOTSTRAP", "kafka.example:9092")
    monkeypatch.setenv("FAIRPIXEL_KAFKA_SECURITY", "none")
    assert "FAIRPIXEL_KAFKA_SECURITY: expected one of" in refusal(folder, capfd, command)


@pytest.mark.parametrize("command", [one for one in KAFKA_COMMANDS if one != "ledger"])
def test_certificates_the_client_cannot_read_are_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], command: str
) -> None:
    monkeypatch.setenv("FAIRPIXEL_KAFKA_BOOTSTRAP", f"127.0.0.1:{free_port()}")
    monkeypatch.setenv("FAIRPIXEL_KAFKA_CA", str(folder / "none.pem"))
    told = refusal(folder, capfd, command)
    assert told.startswith("fairpixel: ")
    assert "ssl.ca.location" in told


def test_a_ledger_without_kafka_compares_the_rest_and_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAIRPIXEL_KAFKA_BOOTSTRAP", f"127.0.0.1:{free_port()}")
    monkeypatch.setenv("FAIRPIXEL_KAFKA_CA", str(folder / "none.pem"))
    with pytest.raises(SystemExit) as ended:
        call(folder, "ledger")
    assert (ended.value.code or 0) == 0
    assert "What the edges sealed was not compared" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("FAIRPIXEL_KAFKA_SECURITY", "none", "FAIRPIXEL_KAFKA_SECURITY: expected one of"),
        ("FAIRPIXEL_KAFKA_CA", "/none.pem", "ssl.ca.location"),
    ],
)
def test_the_doctor_says_why_topics_cannot_be_looked_at(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], variable: str, value: str, said: str
) -> None:
    monkeypatch.setattr(doctor, "CHECKS", [one for one in doctor.CHECKS if one[0] == "topics"])
    monkeypatch.setenv("FAIRPIXEL_KAFKA_BOOTSTRAP", f"127.0.0.1:{free_port()}")
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as ended:
        main(["doctor"])
    told = " ".join(capfd.readouterr().out.split())
    assert ended.value.code == 1
    assert told.startswith("wrong topics")
    assert said in told
    assert "Please report this" not in told


@pytest.mark.parametrize("command", ["status", "trace order-1", "ledger", "sql SELECT", "tail", "doctor"])
def test_an_address_without_a_port_that_is_one_is_named_and_not_repeated(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], command: str
) -> None:
    monkeypatch.setenv("FAIRPIXEL_CLICKHOUSE_URL", "http://me:hush@127.0.0.1:port")
    told = refusal(folder, capfd, command)
    assert "FAIRPIXEL_CLICKHOUSE_URL: expected an address" in told
    assert "hush" not in told


@pytest.mark.parametrize("command", ["sql SELECT", "status"])
def test_programs_that_do_not_run_are_no_accident(
    folder: Path, capfd: pytest.CaptureFixture[str], command: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        call(folder, command)
    told = capfd.readouterr()
    assert ended.value.code == 1
    assert "fairpixel: ClickHouse does not answer" in told.err or "Nothing runs on" in told.out


def test_without_readable_secrets_a_trace_says_what_it_could_not_look_up(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "secrets.toml").write_bytes(b'x = "\xff"')
    with pytest.raises(SystemExit) as ended:
        call(folder, "trace order-1")
    told = capfd.readouterr()
    assert ended.value.code == 1
    assert "Drops could not be looked up" in told.out
    assert told.err == ""


def test_a_key_ring_that_is_damaged_is_named(
    folder: Path, kafka: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAIRPIXEL_KAFKA_BOOTSTRAP", kafka)
    (folder.parent / "keys" / "mine.key").write_bytes(b"x")
    assert refusal(folder, capfd, "replay").startswith("fairpixel: The key ring cannot be read: mine.key")


class NoEdge(BaseHTTPRequestHandler):
    """Somebody else's program on the edge's port."""

    body = b""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        """Be silent."""


@pytest.fixture
def stranger(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with HTTPServer(("127.0.0.1", 0), NoEdge) as server:
        monkeypatch.setenv("FAIRPIXEL_EDGE_PORT", str(server.server_port))
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("body", [b"<html>", b"[1]"])
def test_a_program_that_is_not_the_edge_is_told_apart(
    folder: Path,
    stranger: None,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    body: bytes,
) -> None:
    del stranger
    monkeypatch.setattr(NoEdge, "body", body)
    assert "is not the edge" in refusal(folder, capfd, "send page_view")


def test_a_site_without_a_key_and_one_that_is_not_there_are_told(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "fairpixel.toml").write_text("[sites.demo]\n[sites.keyless]\n")
    assert "There is no site 'none'" in refusal(folder, capfd, "send page_view --site none")
    assert "has no secret key" in refusal(folder, capfd, "send page_view --site keyless")
