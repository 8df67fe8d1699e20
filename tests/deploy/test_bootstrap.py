"""The first run: what is wrong is said plainly, what is half done is finished, what is done costs nothing."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from deploy import bootstrap
from tests.processes import REPO

EMPTY_LOCK = "# nothing\n"
ONE_PACKAGE = "iniconfig==2.3.1 --hash=sha256:" + "0" * 64 + "\n"


def make_clone(folder: Path) -> Path:
    """A repository with an empty lock: setting it up needs no network."""
    repo = folder / "repo"
    (repo / "deploy").mkdir(parents=True)
    (repo / "deploy" / "bootstrap.py").write_text((REPO / "deploy" / "bootstrap.py").read_text())
    (repo / "requirements.lock").write_text(EMPTY_LOCK)
    return repo


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Nothing set up yet."""
    return make_clone(tmp_path)


@pytest.fixture(scope="module")
def ready_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repo = make_clone(tmp_path_factory.mktemp("ready"))
    done = run(repo)
    assert done.returncode == 0, done.stderr
    return repo


@pytest.fixture
def ready(ready_once: Path) -> Path:
    """Set up already, with the empty lock; making an environment takes seconds, so the tests share it."""
    (ready_once / "requirements.lock").write_text(EMPTY_LOCK)
    assert run(ready_once).returncode == 0
    return ready_once


def run(repo: Path, python: str = sys.executable, **environ: str) -> subprocess.CompletedProcess[str]:
    cleared = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    command = [python, str(repo / "deploy" / "bootstrap.py")]
    return subprocess.run(
        command, env={**cleared, **environ}, capture_output=True, text=True, timeout=120, check=False
    )


def test_a_clone_gets_an_environment_and_the_command(ready: Path) -> None:
    assert (ready / ".venv" / "bin" / "fairpixel").stat().st_mode & 0o111
    code = "import deploy; print(*deploy.__path__)"
    found = subprocess.check_output([str(ready / ".venv" / "bin" / "python"), "-c", code], cwd="/", text=True)
    assert found.strip() == str(ready / "deploy")


def test_a_second_run_does_nothing_and_is_quick(ready: Path) -> None:
    before = time.monotonic()
    done = run(ready)
    assert time.monotonic() - before < 1  # 0.1 s on an idle machine
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_changed_lock_is_followed(ready: Path) -> None:
    (ready / "requirements.lock").write_text(EMPTY_LOCK * 2)
    assert "up to requirements.lock" in run(ready).stderr


def test_a_run_cut_off_before_the_end_is_finished(clone: Path) -> None:
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "python").write_text("half a python")
    (clone / ".venv" / "pyvenv.cfg").write_text("home =")
    done = run(clone)
    assert done.returncode == 0, done.stderr
    assert subprocess.run([str(clone / ".venv" / "bin" / "python"), "-c", ""], check=False).returncode == 0


def test_two_runs_at_once_wait_for_each_other(clone: Path) -> None:
    (clone / ".venv").mkdir()
    with (clone / ".venv" / ".setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = subprocess.Popen(
            [sys.executable, str(clone / "deploy" / "bootstrap.py")], stderr=subprocess.PIPE, text=True
        )
        assert second.stderr is not None
        assert "waiting for it" in second.stderr.readline()
        assert not (clone / ".venv" / "bin").exists()
    assert second.wait(60) == 0
    second.stderr.close()


def test_an_old_python_is_told_what_is_needed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert bootstrap.main(str(REPO), version=(3, 6, 9)) == 1
    said = capsys.readouterr().err
    assert "3.11 or newer" in said
    assert "3.6.9" in said
    assert "make PYTHON=" in said


def test_an_old_python_hands_over_to_a_newer_one_beside_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "python3.12").symlink_to(sys.executable)
    (tmp_path / "python3.13").write_text("#!/bin/sh\nexit 1\n")  # a name that does not run
    (tmp_path / "python3.13").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("_FAIRPIXEL_SETUP_PYTHON", "")
    called: list[str] = []
    monkeypatch.setattr(os, "execv", lambda path, _: called.append(path))
    bootstrap.main(str(REPO), version=(3, 9, 1))
    assert called == [str(tmp_path / "python3.12")]


def test_it_can_be_read_by_pythons_that_are_much_too_old() -> None:
    import ast

    tree = ast.parse((REPO / "deploy" / "bootstrap.py").read_text(), feature_version=(3, 4))
    new = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.Match, ast.AsyncFunctionDef)
    assert not [node for node in ast.walk(tree) if isinstance(node, new)]
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert not [one.name for one in functions if one.returns or any(arg.annotation for arg in one.args.args)]
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.cause is not None]


def test_a_python_without_venv_names_the_package_to_install(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "python"
    bare.write_text(
        "#!/bin/sh\necho 'The virtual environment was not created because ensurepip is not available.'\nexit 1\n"
    )
    bare.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(bare))
    assert bootstrap.main(str(clone)) == 1
    said = capsys.readouterr().err
    assert "apt install python3." in said
    assert "make PYTHON=" in said


def test_without_a_network_it_says_so_and_goes_on_later(ready: Path) -> None:
    (ready / "requirements.lock").write_text(ONE_PACKAGE)
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_CONFIG_FILE": os.devnull}
    done = run(ready, PIP_NO_CACHE_DIR="1", PIP_RETRIES="0", **nowhere)
    assert done.returncode == 1
    assert "index does not answer" in done.stderr
    assert "goes on where it stopped" in done.stderr
    assert "Traceback" not in done.stderr
    (ready / "requirements.lock").write_text(EMPTY_LOCK * 3)  # the network is back
    assert run(ready).returncode == 0


def test_a_folder_one_may_not_write_to_is_named(clone: Path) -> None:
    (clone / ".venv").write_text("a file where the folder should be")
    done = run(clone)
    assert done.returncode == 1
    assert str(clone / ".venv") in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_is_named_before_anything_is_written(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5 << 20))
    assert bootstrap.main(str(clone)) == 1
    assert "5 MB left" in capsys.readouterr().err
    assert not (clone / ".venv" / "bin").exists()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.",
            "not the one requirements.lock names",
        ),
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
            "is full",
        ),
        (
            "ERROR: Could not install packages due to an OSError: [Errno 13] Permission denied: '/x'",
            "cannot be written",
        ),
        (
            "WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError'",
            "does not answer",
        ),
        ("ERROR: No matching distribution found for chdb==4.4.0", "no file for this Python"),
        ("ERROR: something else", "something else"),
    ],
)
def test_what_pip_says_becomes_what_is_wrong_and_what_to_do(said: str, expected: str) -> None:
    what, hint = bootstrap.explain(said, "/clone/.venv")
    assert expected in what
    assert hint


def test_a_package_that_differs_from_the_lock_is_refused(ready: Path, tmp_path: Path) -> None:
    """With a real pip and a real wheel, made here."""
    import zipfile

    wheel = tmp_path / "wheels" / "iniconfig-2.3.1-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(
            "iniconfig-2.3.1.dist-info/METADATA", "Metadata-Version: 2.1\nName: iniconfig\nVersion: 2.3.1\n"
        )
        archive.writestr(
            "iniconfig-2.3.1.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr("iniconfig-2.3.1.dist-info/RECORD", "")
    (ready / "requirements.lock").write_text(ONE_PACKAGE)
    done = run(ready, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(wheel.parent), PIP_CONFIG_FILE=os.devnull)
    assert done.returncode == 1
    assert "not the one requirements.lock names" in done.stderr


def test_the_lock_names_hashes_and_no_address() -> None:
    text = (REPO / "requirements.lock").read_text()
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text
    names = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert len(names) > 50
    assert all("==" in line and line.endswith("\\") for line in names)
