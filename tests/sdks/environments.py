"""Environments of their own for other people's SDKs: made from the locks on first use, kept in .sdks/, used again.

Promise: what is returned holds exactly what the lock names. A half-made one is made anew.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from tests.processes import REPO

HERE = Path(__file__).resolve().parent
FOLDER = REPO / ".sdks"
INSTALL_SECONDS_MAX = 240
OUTPUT_LENGTH_MAX = 2_000  # characters of an installer's output in a failure


class NotInstalled(Exception):
    """A package client failed; says which, and what it said last."""


def python_with_sdks() -> Path:
    """The Python of a virtual environment with what requirements.lock names. Raises NotInstalled."""
    lock = HERE / "requirements.lock"

    def install(folder: Path) -> None:
        venv.create(folder, with_pip=True)
        pip = [
            str(folder / "bin/python"),
            "-m",
            "pip",
            "--disable-pip-version-check",
            "--no-input",
            "install",
        ]
        _run(
            [*pip, "--quiet", "--require-hashes", "--only-binary", ":all:", "--requirement", str(lock)],
            folder,
        )

    made_by = sys.version + sys.base_prefix
    return _environment("python", [lock], made_by, install) / "bin/python"


def node_modules_with_sdks(npm: Path) -> Path:
    """A node_modules with what package-lock.json names; no package runs a script of its own. Raises NotInstalled."""
    sources = [HERE / name for name in ("package.json", "package-lock.json", ".npmrc")]

    def install(folder: Path) -> None:
        for source in sources:
            shutil.copy(source, folder)
        _run([str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], folder)

    return _environment("node", sources, "", install) / "node_modules"


def _environment(kind: str, sources: list[Path], made_by: str, install: Callable[[Path], None]) -> Path:
    """The folder for this content of `sources`; one process at a time makes it, the others wait."""
    digest = sha256(b"\0".join(source.read_bytes() for source in sources) + made_by.encode()).hexdigest()
    folder = FOLDER / f"{kind}-{digest[:12]}"
    done = folder / ".complete"
    if done.exists():
        return folder
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / f".{kind}.lock").open("a") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not done.exists():
            for old in FOLDER.glob(f"{kind}-*"):
                shutil.rmtree(old)
            folder.mkdir()
            print(
                f"Installing the {kind} SDKs into {folder.relative_to(REPO)} (once)",
                file=sys.stderr,
                flush=True,
            )
            install(folder)
            done.touch()
    return folder


def _run(command: list[str], folder: Path) -> None:
    """Run a package's ordinary client. Raises NotInstalled with the end of what it said."""
    try:
        done = subprocess.run(
            command, cwd=folder, text=True, capture_output=True, timeout=INSTALL_SECONDS_MAX, check=False,
            env={**os.environ, "PYTHONNOUSERSITE": "1"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"{command[0]}: not done after {INSTALL_SECONDS_MAX} s") from None
    if done.returncode:
        said = (done.stdout + done.stderr)[-OUTPUT_LENGTH_MAX:]
        raise NotInstalled(f"{' '.join(command[:4])} failed ({done.returncode}):\n{said}")
