"""Seam: the lines of logs that nobody could read, kept sealed on disk, each counted once.

A batch is one file. Beside the seal stand its site, its minute and the lines' ids: keyed hashes, which tell nobody what
they were made of. A batch is `.pending` until Kafka has its count, then `.kept`; the count travels in a pack of its own
whose id is the batch's, so a batch that was sent again after a crash is counted once. The lines themselves can be
read as long as the ring has their key, like dead letters; their ids are remembered for as long as the files lie there.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from schemas.avro_codec import PackError
from schemas.ring import Key, Ring
from schemas.seal import open_seal, read_envelope, seal_pack

PENDING, KEPT = ".pending", ".kept"
IDS_MAX = 1_000_000  # remembered ids, of the newest files; about 120 MB


@dataclass(frozen=True, slots=True)
class Batch:
    """Unreadable lines of one site, kept together."""

    pack_id: bytes
    site: str
    minute: int  # seconds since 1970
    count: int


class Rejects:
    """The folder of unreadable lines; several programs may share it."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError where the folder can be neither read nor made."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._seen: set[str] = set()  # names of the files whose ids are known, without ending
        self._ids: set[str] = set()
        self._refresh()

    def knows(self, line_id: str) -> bool:
        """Whether the line is kept already."""
        return line_id in self._ids

    def keep(
        self,
        site: str,
        minute: int,
        lines: Sequence[tuple[str, bytes]],
        key: Key,
        pack_id: bytes,
        nonce: bytes,
    ) -> Batch | None:
        """Put (id, line) pairs on disk, synced; None where another program kept all of them meanwhile.

        The caller sends the count in a pack under the batch's id and then says `counted`. Raises OSError.
        """
        with self._alone():
            self._refresh()
            new = [(line_id, line) for line_id, line in lines if line_id not in self._ids]
            if not new:
                return None
            head = {"site": site, "minute": minute, "ids": [line_id for line_id, _ in new]}
            body = b"\n".join(line for _, line in new)
            sealed = seal_pack(body, key, pack_id=pack_id, nonce=nonce, accepted=())
            path = self._folder / f"{pack_id.hex()}{PENDING}"
            _write_synced(path, orjson.dumps(head) + b"\n" + sealed)
            self._seen.add(path.stem)
            self._ids.update(head["ids"])  # type: ignore[arg-type]
        return Batch(pack_id, site, minute, len(new))

    def counted(self, batch: Batch) -> None:
        """Kafka has the count. After a crash before this the count is sent once more, and recognised by its id."""
        path = self._folder / f"{batch.pack_id.hex()}{PENDING}"
        if path.exists():
            path.replace(path.with_suffix(KEPT))

    def pending(self) -> list[Batch]:
        """Batches whose count may not have reached Kafka."""
        return [
            batch
            for path in sorted(self._folder.glob(f"*{PENDING}"))
            for batch, _ in [self._read(path)]
            if batch
        ]

    def lines(self, ring: Ring) -> Iterator[tuple[Batch, list[bytes] | None]]:
        """All batches, oldest first, with their lines; None where their key is gone."""
        for path in sorted((*self._folder.glob(f"*{KEPT}"), *self._folder.glob(f"*{PENDING}")), key=_age):
            batch, sealed = self._read(path)
            if batch is None:
                continue
            try:
                yield batch, open_seal(read_envelope(sealed), ring).split(b"\n")
            except PackError:
                yield batch, None

    def _refresh(self) -> None:
        """Learn the ids of files that came since the last look."""
        found = {path.stem: path for path in self._folder.iterdir() if path.suffix in (PENDING, KEPT)}
        for name in sorted(found.keys() - self._seen, key=lambda name: _age(found[name]), reverse=True):
            self._seen.add(name)
            if len(self._ids) < IDS_MAX:
                self._ids.update(self._read_head(found[name]).get("ids", ()))

    def _read_head(self, path: Path) -> dict[str, list[str]]:
        try:
            with path.open("rb") as file:
                head = orjson.loads(file.readline())
        except FileNotFoundError:  # another program has just said `counted`
            return self._read_head(path.with_suffix(KEPT)) if path.suffix == PENDING else {}
        except orjson.JSONDecodeError:
            return {}
        return head if isinstance(head, dict) else {}

    def _read(self, path: Path) -> tuple[Batch | None, bytes]:
        try:
            first, _, sealed = path.read_bytes().partition(b"\n")
            head = orjson.loads(first)
            return Batch(bytes.fromhex(path.stem), head["site"], head["minute"], len(head["ids"])), sealed
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None, b""

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with (self._folder / "lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _age(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _write_synced(path: Path, content: bytes) -> None:
    """The file is there whole, and stays, or it is not there."""
    partial = path.with_suffix(".partial")
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder as lasting as what they name."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
