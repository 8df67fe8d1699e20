"""The file of a bench: every round, and of which commit, day and machine it is. A bad one is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runtime.errors import UserError
from tests.speed.__main__ import main
from tests.speed.results import (
    Results,
    add_rounds,
    check_writable,
    machine_here,
    read_results,
    results_now,
    write_results,
)

ROUNDS = [{"edge_us_per_pixel": 40.0}, {"edge_us_per_pixel": 50.0, "queryable_p50_s": float("inf")}]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    written = results_now(ROUNDS)
    write_results(tmp_path / "bench.json", written)
    assert read_results(tmp_path / "bench.json") == written
    assert written.unsaid == []
    assert {"cores", "model", "kernel", "memory_gb", "python"} <= set(
        json.loads((tmp_path / "bench.json").read_text())["machine"]
    )


def test_medians_are_over_the_rounds_that_measured_a_figure() -> None:
    assert Results([*ROUNDS, {}]).medians == {"edge_us_per_pixel": 45.0, "queryable_p50_s": float("inf")}


def test_the_file_that_was_there_is_kept_beside_the_new_one(tmp_path: Path) -> None:
    for value in (1.0, 2.0, 3.0):
        write_results(tmp_path / "bench.json", Results([{"edge_us_per_pixel": value}]))
    assert read_results(tmp_path / "bench.json").medians["edge_us_per_pixel"] == 3.0
    assert read_results(tmp_path / "bench-earlier.json").medians["edge_us_per_pixel"] == 2.0


def test_a_file_of_before_commits_were_written_is_read(tmp_path: Path) -> None:
    old = {
        "machine": {"cores": 2, "memory_gb": 8, "python": "3.11.7"},
        "medians": ROUNDS[0],
        "rounds": ROUNDS,
    }
    (tmp_path / "bench.json").write_text(json.dumps(old))
    found = read_results(tmp_path / "bench.json")
    assert found.rounds == ROUNDS
    assert found.unsaid == ["commit", "date", "model", "kernel"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "is no JSON"),
        ("{", "is no JSON"),
        ("[]", "has no rounds"),
        ("{}", "has no rounds"),
        ('{"medians": {"edge_us_per_pixel": 1}}', "has no rounds"),
        ('{"rounds": {"a": 1}}', "has no rounds"),
        ('{"rounds": [1]}', "has no rounds"),
        ('{"rounds": [{"edge_us_per_pixel": "fast"}]}', "has no rounds"),
        ('{"rounds": [{"edge_us_per_pixel": true}]}', "has no rounds"),
        ('{"rounds": [{"edge_us_per_pixel": NaN}]}', "has no rounds"),
        ('{"rounds": []}', "nothing was measured"),
        ('{"rounds": [{}, {}]}', "nothing was measured"),
    ],
)
def test_what_is_no_file_of_a_bench_is_refused(tmp_path: Path, content: str, complaint: str) -> None:
    path = tmp_path / "odd.json"
    path.write_text(content)
    with pytest.raises(UserError, match=f"odd.json: {complaint}"):
        read_results(path)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="is no JSON"):
        read_results(path)


def test_a_path_that_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.json: cannot be read: No such file"):
        read_results(tmp_path / "gone.json")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        read_results(tmp_path)
    with pytest.raises(UserError, match="cannot be written: Is a directory"):
        check_writable(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        check_writable(tmp_path / "file" / "bench.json")


def test_a_file_is_not_made_by_asking_whether_it_can_be(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "bench.json")
    assert not (tmp_path / "new" / "bench.json").exists()


def test_rounds_are_added_to_those_of_the_same_commit_and_machine() -> None:
    first, second = results_now(ROUNDS), results_now(ROUNDS[:1])
    assert len(add_rounds(first, second, Path("bench.json")).rounds) == 3


def test_rounds_are_not_added_to_those_of_another_commit_or_machine() -> None:
    now = results_now(ROUNDS)
    with pytest.raises(UserError, match=r"bench\.json: its rounds are of commit abc, these are of "):
        add_rounds(Results(ROUNDS, machine_here(), "abc"), now, Path("bench.json"))
    with pytest.raises(UserError, match=r"another machine \(kernel\)"):
        add_rounds(Results(ROUNDS, {**now.machine, "kernel": "1.0"}, now.commit), now, Path("bench.json"))


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr("sys.argv", ["bench", *words])
    main()


def test_a_bad_file_stops_the_bench_before_it_measures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as stopped:
        call(monkeypatch, "--against", str(tmp_path / "gone.json"))
    assert "gone.json: cannot be read" in str(stopped.value)
    with pytest.raises(SystemExit) as stopped:
        call(monkeypatch, "--to", str(tmp_path))
    assert "cannot be written: Is a directory" in str(stopped.value)


def test_no_rounds_compare_what_was_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_results(tmp_path / "before.json", Results([{"edge_us_per_pixel": 50.0}] * 2, {}, "aaa", "today"))
    write_results(tmp_path / "now.json", Results([{"edge_us_per_pixel": 40.0}] * 2, {}, "bbb", "today"))
    call(
        monkeypatch,
        "--rounds",
        "0",
        "--to",
        str(tmp_path / "now.json"),
        "--against",
        str(tmp_path / "before.json"),
    )
    assert "1 better" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["--rounds", "-1"],
        ["--rounds", "two"],
        ["--row", "0"],
        ["--row", "nan"],
        ["--trial", "inf"],
        ["--only", "x"],
    ],
)
def test_odd_arguments_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        call(monkeypatch, *words)
    assert stopped.value.code == 2
    assert words[0] in capsys.readouterr().err
