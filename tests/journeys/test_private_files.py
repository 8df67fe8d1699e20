"""What a running platform has on disk and in its processes' command lines is nobody else's to read."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil

from deploy.supervisor.leftovers import find_leftovers
from deploy.supervisor.run_folder import RunFolder
from tests.platform import Platform


def test_no_file_can_be_read_by_others(platform: Platform) -> None:
    keys = Path(platform.env["FAIRPIXEL_KEYS"])
    opened = [
        str(path.relative_to(platform.folder))
        for folder in (platform.data, keys)
        for path in _files(folder)
        if _is_open(path)
        and not any(_is_closed(parent) for parent in path.parents if folder in parent.parents)
    ]
    assert opened == []
    assert not _is_open(keys)
    secret = [platform.data / "secrets.toml", platform.data / "fairpixel.toml", *keys.rglob("*")]
    assert [path.name for path in secret if _is_open(path)] == []


def test_no_secret_stands_in_a_command_line_or_in_the_supervisors_files(platform: Platform) -> None:
    secrets = [value.encode() for value in _secrets(platform)]
    assert len(secrets) >= 3
    processes = [process for _, process in find_leftovers(RunFolder.of(platform.data))]
    assert len(processes) >= 7
    said = {
        **{f"pid {process.pid}": " ".join(_command(process)).encode() for process in processes},
        **{str(path): path.read_bytes() for path in _files(platform.data / "run") if path.is_file()},
        **{str(path): path.read_bytes() for path in _files(platform.data / "logs") if path.is_file()},
    }
    assert [name for name, text in said.items() if any(secret in text for secret in secrets)] == []


def _files(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        yield from (Path(root, name) for name in (*folders, *files))


def _is_open(path: Path) -> bool:
    try:
        found = path.lstat()
    except FileNotFoundError:  # a program has removed it meanwhile
        return False
    return not stat.S_ISLNK(found.st_mode) and bool(stat.S_IMODE(found.st_mode) & 0o077)


def _is_closed(folder: Path) -> bool:
    return not stat.S_IMODE(folder.stat().st_mode) & 0o077


def _secrets(platform: Platform) -> Iterator[str]:
    """Every text of secrets.toml, at any depth."""
    import tomllib

    waiting: list[object] = [tomllib.loads((platform.data / "secrets.toml").read_text())]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, str) and len(one) >= 16:
            yield one


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []
