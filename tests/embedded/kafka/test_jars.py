"""Kafka's jars: only the ones the repository names, whole, from the cache or from a Maven repository."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.embedded import kafka_jars
from deploy.embedded.kafka_jars import Jar, ensure_jars, is_intact, read_lock
from runtime.errors import UserError
from tests.processes import free_port

CONTENT = b"the jar" * 1000
JAR = Jar("org.example:thing:1.0", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


class MavenRepository:
    """A Maven repository with one jar, and what was asked of it."""

    def __init__(self) -> None:
        self.content = CONTENT
        self.asked: list[str] = []
        repository = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                repository.asked.append(self.path)
                found = self.path.endswith(".jar")
                self.send_response(200 if found else 404)
                self.send_header("Content-Length", str(len(repository.content) if found else 0))
                self.end_headers()
                if found:
                    self.wfile.write(repository.content)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def jars_asked(self) -> list[str]:
        return [path for path in self.asked if path.endswith(".jar")]


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> Iterator[MavenRepository]:
    import jgo.constants

    one = MavenRepository()
    monkeypatch.setattr(jgo.constants, "MAVEN_CENTRAL_URL", f"http://127.0.0.1:{one.server.server_port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield one
    one.server.shutdown()
    one.server.server_close()


def test_a_missing_jar_is_downloaded_once(repository: MavenRepository, tmp_path: Path) -> None:
    (path,) = ensure_jars(tmp_path, [JAR])
    ensure_jars(tmp_path, [JAR])
    assert path.read_bytes() == CONTENT
    assert len(repository.jars_asked) == 1


def test_a_damaged_jar_is_replaced(repository: MavenRepository, tmp_path: Path) -> None:
    (tmp_path / JAR.file_name).write_bytes(CONTENT[:-1] + b"?")  # the right size, another content
    (path,) = ensure_jars(tmp_path, [JAR])
    assert path.read_bytes() == CONTENT
    assert len(repository.jars_asked) == 1


def test_what_a_cut_off_download_left_is_in_nobodys_way(repository: MavenRepository, tmp_path: Path) -> None:
    left = tmp_path / ".part" / JAR.file_name / "org" / "example" / "thing" / "1.0" / JAR.file_name
    left.parent.mkdir(parents=True)
    left.write_bytes(CONTENT[:100])
    (path,) = ensure_jars(tmp_path, [JAR])
    assert path.read_bytes() == CONTENT


def test_a_jar_that_is_not_the_one_named_is_refused_and_not_kept(
    repository: MavenRepository, tmp_path: Path
) -> None:
    repository.content = b"something else" * 500
    with pytest.raises(UserError, match="SHA-256 differs"):
        ensure_jars(tmp_path, [JAR])
    assert not list(tmp_path.rglob("*.jar/**/*.jar"))
    assert not (tmp_path / JAR.file_name).exists()


def test_without_a_network_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import jgo.constants

    monkeypatch.setattr(jgo.constants, "MAVEN_CENTRAL_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(UserError, match="no connection") as caught:
        ensure_jars(tmp_path, [JAR])
    assert "goes on where it stopped" in caught.value.hint


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written"):
        ensure_jars(tmp_path / "file" / "kafka", [JAR])


def test_every_jar_of_the_lock_has_a_sum_and_none_an_address() -> None:
    jars = read_lock()
    assert kafka_jars.kafka_version(jars).startswith("4.")
    assert all(len(jar.sha256) == 64 and jar.size_bytes > 0 for jar in jars)
    assert len({jar.file_name for jar in jars}) == len(jars)
    assert "://" not in kafka_jars.LOCK_FILE.read_text()


@pytest.mark.parametrize("changed", [{"sha256": "0" * 64}, {"size_bytes": 1}])
def test_neither_sum_nor_size_may_differ(tmp_path: Path, changed: dict[str, object]) -> None:
    path = tmp_path / JAR.file_name
    path.write_bytes(CONTENT)
    assert is_intact(path, JAR)
    assert not is_intact(path, dataclasses.replace(JAR, **changed))  # type: ignore[arg-type]
