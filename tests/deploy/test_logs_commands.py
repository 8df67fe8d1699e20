"""`fairpixel logs` as people call it, on a real broker: files, standard input, summaries, kills and signals."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from confluent_kafka import TopicPartition

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from ingest.logs.generation import Generation
from tests.ingest.edges import Edge, ends
from tests.ingest.logs.access_logs import LINES
from tests.processes import await_that

JUNK = "198.51.100.77 is no line"


class Stage:
    """A data folder with its site, and a broker; commands run in processes of their own."""

    def __init__(self, folder: Path, bootstrap: str) -> None:
        self.edge = Edge(folder / "stage", bootstrap)
        self.start: list[TopicPartition] = ends(bootstrap)

    def run(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "deploy.cli", "logs", *words]
        return subprocess.run(
            command, env=self.edge.environ, input=stdin, capture_output=True, timeout=60, check=False
        )

    def summary(self, *words: str, stdin: bytes = b"") -> dict[str, Any]:
        done = self.run("import", "--site", "demo", "--json", *words, stdin=stdin)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def follow(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "deploy.cli", "logs", "follow", *words],
            env=self.edge.environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def ids(self) -> set[str]:
        return {event.event_id for event in self.edge.events(self.start)}

    def refused(self) -> int:
        return sum(one.count for pack in self.edge.packs(self.start) for one in pack.refusals)


@pytest.fixture
def stage(kafka: str, tmp_path: Path) -> Stage:
    return Stage(tmp_path, kafka)


def test_several_files_of_several_formats_are_imported_at_once(stage: Stage, tmp_path: Path) -> None:
    paths = []
    for name, line in LINES.items():
        paths.append(tmp_path / f"{name}.log.gz")
        paths[-1].write_bytes(gzip.compress(f"{line}\n{line}\n".encode()))
    said = stage.summary(*map(str, paths))
    assert (said["lines"], said["accepted"], said["invalid"]) == (14, 14, 0)
    assert said["formats"] == list(LINES)
    assert len(stage.ids()) == 14


def is_broken_deflate(data: bytes) -> bool:
    """Whether the stream itself is broken, not only its checksum wrong."""
    try:
        gzip.decompress(data)
    except zlib.error:
        return True
    except OSError:
        pass
    return False


def test_a_damaged_archive_says_what_to_do(stage: Stage, tmp_path: Path) -> None:
    rng = Random(1)
    text = "\n".join([LINES["alb"], *(rng.randbytes(40).hex() for _ in range(5_000))])
    whole = gzip.compress(text.encode())
    damaged = [whole[:at] + b"\0" * 50 + whole[at + 50 :] for at in range(1_000, 60_000, 1_000)]
    path = tmp_path / "damaged.log.gz"
    path.write_bytes(next(one for one in damaged if is_broken_deflate(one)))
    done = stage.run("import", "--site", "demo", str(path))
    assert done.returncode != 0
    assert b"Traceback" not in done.stderr
    assert b"Mend the file and import it again" in done.stderr
    generation = Generation(path, b"s" * 32)
    with pytest.raises(OSError, match="Error -3"):
        generation.read(10_000_000)
    with pytest.raises(OSError, match="Error -3"):
        list(generation.scan(1 << 30))
    generation.close()


def test_of_a_file_cut_short_what_stands_in_it_is_kept_and_its_neighbours_are_read(
    stage: Stage, tmp_path: Path
) -> None:
    lines = [LINES["combined"].replace("x=1", f"x={number}") + "\n" for number in range(300)]
    whole = zstd.compress("".join(lines[:100]).encode()) + zstd.compress("".join(lines[100:200]).encode())
    cut, odd = tmp_path / "cut.log.zst", tmp_path / "odd.log"
    cut.write_bytes(whole[:-12])
    odd.write_text("".join([*lines[200:], *[f"{JUNK} 203.0.113.9\n"] * 3]))
    done = stage.run("import", "--site", "demo", "--json", str(cut), str(odd))
    said = json.loads(done.stdout)
    assert done.returncode == 1
    assert b"cut.log.zst cannot be read to its end: it ends in the middle of what zstd packed" in done.stderr
    assert 200 <= said["accepted"] < 300
    (remark,) = said["remarks"]
    assert "odd.log was taken for combined, and 3 of its 103 lines are not of that format" in remark
    assert "line 101: 0.0.0.0 a a a 0.0.0.0" in remark
    cut.write_bytes(whole)
    assert stage.summary(str(cut))["accepted"] == 200
    assert len(stage.ids()) == 300


def test_standard_input_counts_and_keeps_what_cannot_be_read_once(stage: Stage) -> None:
    text = f"{LINES['alb']}\n{JUNK}\n".encode()
    first, again = stage.summary("-", stdin=text), stage.summary("-", stdin=gzip.compress(text))
    assert (first["accepted"], first["invalid"], first["invalid_again"], first["invalid_lines"]) == (
        1,
        1,
        0,
        [2],
    )
    assert (again["accepted"], again["invalid"], again["invalid_again"]) == (1, 1, 1)
    assert (len(stage.ids()), stage.refused()) == (1, 1)
    assert b"1 lines" in stage.run("rejected").stdout
    assert JUNK.encode() not in stage.run("rejected").stdout
    assert stage.run("rejected", "--show").stdout == f"{JUNK}\n".encode()
    in_words = stage.run("import", "-", "--site", "demo", stdin=text)
    assert b"Counted by an import before this one: 1 of them." in in_words.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-"], b"Whose log is it"),
        (["-", "--site", "nobody"], b"Sites of fairpixel.toml: demo, shop"),
        (["-", "--site", "demo"], b"standard input: none of the first 1 lines is of a known format"),
        (["-", "--site", "demo", "--format", "iis"], b"Known are: combined, vhost_combined"),
        (["-", "--site", "demo", "--pattern", "%h %t"], b"character 6: it names no status"),
        (["-", "--site", "demo", "--pattern", "%h", "--format", "caddy"], b"Leave one of them out"),
    ],
)
def test_what_cannot_begin_says_why_and_counts_nothing(stage: Stage, words: list[str], said: bytes) -> None:
    done = stage.run("import", *words, stdin=JUNK.encode())
    assert (done.returncode, said in done.stderr) == (1, True), done.stderr
    assert JUNK.encode() not in done.stderr
    assert stage.refused() == 0


@pytest.fixture
def children() -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for child in started:
        child.kill()
        child.communicate()


def test_a_follower_goes_on_after_kill_9_and_stops_in_order_when_told(
    stage: Stage, tmp_path: Path, children: list[subprocess.Popen[bytes]]
) -> None:
    log = tmp_path / "later" / "access.log"
    log.parent.mkdir()
    lines = [LINES["combined"].replace("x=1", f"x={number // 2}") + "\n" for number in range(4_000)]
    children.append(stage.follow(str(log), "--site", "demo"))
    log.write_text("".join(lines[:1_500]))
    await_that(lambda: len(stage.ids()) >= 1_500, 30, "the first lines are in Kafka")
    with log.open("a") as file:
        file.writelines(lines[1_500:3_000])
        file.flush()
        children[0].kill()
        file.writelines(lines[3_000:])
    children.append(stage.follow(str(log), "--site", "demo"))
    await_that(lambda: len(stage.ids()) == 4_000, 30, "all lines are in Kafka")
    second = stage.follow(str(log), "--site", "demo")
    children.append(second)
    assert second.wait(20) == 1  # one follower a log
    children[1].terminate()
    printed, _ = children[1].communicate(timeout=30)
    assert children[1].returncode == 0
    assert b"0 invalid" in printed
    said = stage.summary(str(log))
    assert (said["accepted"], len(stage.ids())) == (4_000, 4_000)
