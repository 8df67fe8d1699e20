"""Every function and table function of the engine, in eight positions each, against files that are nobody's business.

First with the allow-list, as the reader without a password; then without, with every grant, where only the kernel is
left. Some 16,000 statements a run, over a few connections that stay open.
"""

from __future__ import annotations

import http.client
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import pytest

from deploy.embedded.clickhouse.confine import landlock_version
from tests.attacks.outside import MARKER, OpenServer, Outside
from tests.embedded.clickhouse.conftest import PASSWORD, Server

INSIDE = "a-file-in-the-engines-own-folder"
CONNECTION_COUNT = 6

# {f} is a function, {p} a path
OF_FUNCTIONS = (
    "SELECT {f}('{p}')",
    "SELECT arrayMap({f}, ['{p}'])",
    "SELECT arrayMap(x -> {f}(x), ['{p}'])",
    "WITH {f}('{p}', 'RawBLOB') AS a SELECT a",
    "SELECT 1 WHERE throwIf(1, toString({f}('{p}')))",
    r"SELECT b FROM values('a UInt8, b String ALIAS {f}(\'{p}\')', (1))",
    "SELECT {f}({{path:String}})",
    "SELECT {f}(s) FROM view(SELECT materialize('{p}') AS s)",
)
OF_TABLE_FUNCTIONS = (
    "SELECT * FROM {f}('{p}') LIMIT 9",
    "SELECT * FROM {f}('{p}', 'RawBLOB') LIMIT 9",
    "SELECT * FROM {f}('{p}', 'LineAsString', 's String') LIMIT 9",
    "SELECT * FROM {f}({{path:String}}, 'RawBLOB') LIMIT 9",
    "WITH c AS (SELECT * FROM {f}('{p}', 'LineAsString')) SELECT * FROM c LIMIT 9",
    "SELECT arrayMap(x -> (SELECT * FROM {f}('{p}', 'RawBLOB') LIMIT 1), [1])",
    "INSERT INTO FUNCTION {f}('{p}.new', 'CSV', 's String') SELECT 'x'",
    "DESCRIBE TABLE {f}('{p}', 'CSV')",
)


@dataclass
class Tries:
    """What came of many statements."""

    count: int = 0
    answered: int = 0
    leaks: list[str] = field(default_factory=list)
    deadly: list[str] = field(default_factory=list)
    slow: list[str] = field(default_factory=list)


def names(server: Server, table: str) -> list[str]:
    return server.ask(f"SELECT name FROM system.{table}").text.split()


def statements(server: Server, path: Path) -> list[str]:
    scalar, of_tables = names(server, "functions"), names(server, "table_functions")
    return [
        text.format(f=f"`{name}`" if not name.isidentifier() else name, p=path)
        for group, texts in ((scalar, OF_FUNCTIONS), (of_tables, OF_TABLE_FUNCTIONS))
        for name in group
        for text in texts
    ]


def try_all(
    server: Server,
    texts: Sequence[str],
    path: Path,
    markers: Sequence[str],
    login: dict[str, str],
    answer_s_max: float = 60,
) -> Tries:
    """Run every statement; a server that dies of one is started again, and the statement named."""
    tries = Tries()
    target = "/?" + urlencode({"param_path": str(path), "default_format": "TSVRaw", **login})

    reviving = threading.Lock()

    def revive() -> None:
        with reviving:
            if server.process is None or server.process.poll() is not None:
                server.start()

    def work(part: Sequence[str]) -> list[str]:
        cut = []
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=answer_s_max)
        for text in part:
            try:
                connection.request("POST", target, text.encode())
                answer = connection.getresponse()
                body = answer.read().decode("latin-1")
            except TimeoutError:
                connection.close()
                tries.slow.append(text)
                continue
            except (OSError, http.client.HTTPException):
                connection.close()
                cut.append(text)
                revive()
                continue
            tries.answered += answer.status == 200
            tries.leaks += [f"{text} -> {marker}" for marker in markers if marker in body]
        connection.close()
        return cut

    with ThreadPoolExecutor(CONNECTION_COUNT) as pool:
        parts = [texts[at::CONNECTION_COUNT] for at in range(CONNECTION_COUNT)]
        left = [text for cut in pool.map(work, parts) for text in cut]
    tries.count = len(texts)
    for text in left:  # one of these was the end of the server: which?
        if work([text]):
            tries.deadly.append(text)
    return tries


@pytest.fixture
def outside(tmp_path: Path) -> Outside:
    return Outside(tmp_path / "outside")


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "guarded")
    server.start()
    yield server
    server.end(signal.SIGTERM)


@pytest.mark.timeout(1200)
def test_with_the_guard_no_function_reads_any_file_or_ends_the_server(
    guarded: Server, outside: Outside
) -> None:
    inside = guarded.data / "clickhouse" / "data" / "inside.txt"
    inside.write_text(INSIDE)
    before = sorted(inside.parent.iterdir())
    key = outside.keys / "2026-11.key"
    texts = statements(guarded, inside)
    tries = try_all(guarded, texts, inside, (INSIDE,), {})
    assert tries.count > 10_000
    assert tries.answered > 100  # the allow-list lets ordinary functions pass
    assert not tries.leaks
    assert not tries.deadly
    # The writer may do what the reader may not: those that write, and those that have to do with files at all.
    writer = {"user": "fairpixel", "password": PASSWORD}
    few = [
        text
        for text in texts
        if text.startswith("INSERT") or "file" in text.partition(str(inside))[0].lower()
    ]
    assert not try_all(guarded, few, inside, (INSIDE,), writer).leaks
    few = [text.replace(str(inside), str(key)) for text in few]
    assert not try_all(guarded, few, key, (MARKER,), writer).leaks
    assert sorted(inside.parent.iterdir()) == before
    assert outside.is_untouched


@pytest.mark.timeout(900)
@pytest.mark.skipif(landlock_version() == 0, reason="this kernel has no Landlock")
def test_without_the_guard_no_function_reaches_a_file_outside(tmp_path: Path, outside: Outside) -> None:
    server = OpenServer(tmp_path / "open")
    server.start()
    path = outside.keys / "2026-11.key"
    login = {"user": "fairpixel", "password": PASSWORD, "max_execution_time": "5"}
    # These wait a minute for a program that the kernel lets nobody start, which is longer than the server waits.
    texts = [text for text in statements(server, path) if "odbc(" not in text and "jdbc(" not in text]
    tries = try_all(server, texts, path, (MARKER,), login, answer_s_max=10)
    print("slow:", tries.slow)
    print("end the process, which the allow-list's run above never does:", tries.deadly)
    assert tries.count > 10_000
    assert not tries.leaks
    assert outside.is_untouched
    server.end(signal.SIGTERM)
