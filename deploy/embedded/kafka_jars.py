"""The jars of Apache Kafka: named with their SHA-256 in this repository, downloaded once, checked at every start.

`python -m deploy.embedded.kafka_jars --lock VERSION` writes the list anew for another version.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.errors import UserError

if TYPE_CHECKING:
    from jgo.maven import Artifact, MavenContext

LOCK_FILE = Path(__file__).with_name("kafka-jars.sha256")
KAFKA = "org.apache.kafka:kafka_2.13"
DOWNLOADS_AT_ONCE = 6
READ_SIZE = 1 << 20  # bytes

Advance = Callable[[int], None]  # called with the number of bytes that arrived


@dataclass(frozen=True, slots=True)
class Jar:
    """One jar as the repository knows it."""

    coordinate: str  # group:artifact:version
    size_bytes: int
    sha256: str

    @property
    def file_name(self) -> str:
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


def read_lock(path: Path = LOCK_FILE) -> tuple[Jar, ...]:
    """The jars in the order of the class path."""
    jars = []
    for line in path.read_text(encoding="ascii").splitlines():
        if line and not line.startswith("#"):
            sha256, size, coordinate = line.split()
            jars.append(Jar(coordinate, int(size), sha256))
    return tuple(jars)


def kafka_version(jars: Sequence[Jar]) -> str:
    """The version of the broker among its jars."""
    return next(jar.coordinate.split(":")[2] for jar in jars if jar.coordinate.startswith(KAFKA + ":"))


def cache_folder(environ: dict[str, str] | None = None) -> Path:
    """Where downloads are kept for all clones of one user: XDG_CACHE_HOME, otherwise ~/.cache."""
    env = os.environ if environ is None else environ
    base = env.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "fairpixel"


def is_intact(path: Path, jar: Jar) -> bool:
    """True when the file is there, whole and unchanged. 45 jars, 45 MB: about 40 ms together."""
    try:
        if path.stat().st_size != jar.size_bytes:
            return False
        return _sha256(path) == jar.sha256
    except OSError:
        return False


def ensure_jars(folder: Path, jars: Sequence[Jar]) -> list[Path]:
    """Return the checked jars in `folder`, downloading those that are missing or damaged.

    A run that was cut off is taken up where it stopped: a jar appears in `folder` only when whole and checked.
    Raises UserError when there is no network, no room, or a jar is not the one the repository names.
    """
    paths = [folder / jar.file_name for jar in jars]
    if all(map(is_intact, paths, jars)):
        return paths
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / ".lock"):  # another clone may be downloading the same
            missing = [jar for path, jar in zip(paths, jars, strict=True) if not is_intact(path, jar)]
            _download(folder, missing)
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        raise UserError(
            f"The jars of Apache Kafka cannot be written to {folder}: {error.strerror}.",
            "Make room there (about 150 MB) and allow writing, or set XDG_CACHE_HOME to another folder.",
        ) from None
    return paths


def _download(folder: Path, missing: Sequence[Jar]) -> None:
    if not missing:
        return
    with _progress(sum(jar.size_bytes for jar in missing), len(missing)) as advance:
        pool = ThreadPoolExecutor(DOWNLOADS_AT_ONCE)
        try:
            for _ in pool.map(lambda jar: _download_one(folder, jar, advance), missing):
                pass
        finally:
            pool.shutdown(cancel_futures=True)


def _download_one(folder: Path, jar: Jar, advance: Advance) -> None:
    import requests  # jgo's client; half a second to import, so only when something is missing

    part = folder / ".part" / jar.file_name
    shutil.rmtree(part, ignore_errors=True)  # jgo does not overwrite what a cut-off run left
    artifact = _artifact(part, jar.coordinate, advance)
    try:
        file = artifact.resolve()
    except requests.RequestException as error:
        raise UserError(
            f"Apache Kafka's jar {jar.file_name} cannot be downloaded: {_reason(error)}.",
            "Check the network (HTTPS_PROXY if there is a proxy; a mirror can be named in jgo's own configuration "
            "file, ~/.config/jgo.conf) and run the same command again: it goes on where it stopped.",
        ) from None
    except RuntimeError:
        raise UserError(
            f"Apache Kafka's jar {jar.file_name} is not offered by the Maven repository in use.",
            "Check the mirror in ~/.config/jgo.conf, or try again later.",
        ) from None
    if not is_intact(file, jar):
        shutil.rmtree(part, ignore_errors=True)
        raise UserError(
            f"The downloaded {jar.file_name} is not the file {LOCK_FILE.name} names: its SHA-256 differs.",
            "Nothing of it was kept. Try again; if it stays so, a proxy or mirror changes the files: do not go on.",
        )
    os.replace(file, folder / jar.file_name)
    shutil.rmtree(part, ignore_errors=True)


def _artifact(repo: Path, coordinate: str, advance: Advance) -> Artifact:
    from jgo.maven import PythonResolver

    @contextmanager
    def progress(_name: str, _size: int) -> Iterator[Advance]:
        yield advance

    context = _maven(repo, PythonResolver(progress_callback=progress))
    group, artifact, version = coordinate.split(":")
    return context.project(group, artifact).at_version(version).artifact()


def _maven(repo: Path, resolver: object = None) -> MavenContext:
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext

    mirrors = GlobalSettings.load().repositories
    return MavenContext(
        resolver=resolver,  # type: ignore[arg-type]
        repo_cache=repo,
        local_repos=[],
        remote_repos={**mirrors, "central": MAVEN_CENTRAL_URL},
        timeout=30,
    )


def _reason(error: Exception) -> str:
    import requests

    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy does not answer"
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate is not trusted"
    if isinstance(error, requests.Timeout):
        return "the server does not answer in time"
    if isinstance(error, requests.ConnectionError):
        return "there is no connection to the Maven repository"
    return type(error).__name__


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(READ_SIZE):
            digest.update(chunk)
    return digest.hexdigest()


def _progress(size_bytes: int, count: int) -> AbstractContextManager[Advance]:
    return _bar(size_bytes) if sys.stderr.isatty() else _line(size_bytes, count)


@contextmanager
def _bar(size_bytes: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("Apache Kafka (once)", total=size_bytes)
        yield lambda arrived: progress.advance(task, arrived)


@contextmanager
def _line(size_bytes: int, count: int) -> Iterator[Advance]:
    print(
        f"Downloading Apache Kafka (once): {count} jars, {size_bytes / 1e6:.0f} MB",
        file=sys.stderr,
        flush=True,
    )
    yield lambda _arrived: None
    print("Downloading Apache Kafka (once): done", file=sys.stderr, flush=True)


def write_lock(version: str, path: Path = LOCK_FILE) -> None:
    """Resolve Kafka `version` with all it needs, download it, and write the list with sums to `path`."""
    from tempfile import TemporaryDirectory

    from jgo.parse import Coordinate

    with TemporaryDirectory() as scratch:
        maven = _maven(Path(scratch))
        wanted = maven.create_dependency(replace(Coordinate.parse(f"{KAFKA}:{version}"), scope="compile"))
        inputs, needed = maven.resolver.resolve([wanted])
        artifacts = [dependency.artifact for dependency in [*inputs, *needed]]
        log4j = next(a.version for a in artifacts if a.artifactId == "log4j-core")
        binding = maven.project("org.apache.logging.log4j", "log4j-slf4j-impl").at_version(log4j)
        artifacts.append(
            binding.artifact()
        )  # Kafka logs through slf4j and leaves the choice of a binding to us
        lines = [
            "# The jars of Apache Kafka: SHA-256, size in bytes, coordinate.",
            "# Written by: python -m deploy.embedded.kafka_jars --lock VERSION",
        ]
        for artifact in artifacts:
            file = artifact.resolve()
            coordinate = f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}"
            lines.append(f"{_sha256(file)} {file.stat().st_size} {coordinate}")
        path.write_text("\n".join(lines) + "\n", encoding="ascii")


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] != "--lock":
        sys.exit("usage: python -m deploy.embedded.kafka_jars --lock VERSION")
    write_lock(sys.argv[2])
