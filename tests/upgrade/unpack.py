"""Unpacks a recorded folder and moves its clocks, so that it is never too old: as though it was recorded just now.

What would expire is moved: messages in Kafka (48 h and 8 days), keys (12 days), the spool (24 h), the times of files.
What happened when, inside sealed packs and in ClickHouse, stays. The times in the deduplication store stay too; instead
the test makes its window as much longer as the recording is old (`window_hours`).
"""

from __future__ import annotations

import os
import struct
import tarfile
from pathlib import Path
from zlib import crc32

from schemas.topics import all_topics

# Of a record batch (Kafka's message format 2): base offset and length of what follows; then, from the start of the
# batch, the checksum of all behind it, and the first and the last time.
BATCH_HEAD = struct.Struct(">qi")
CRC_AT, FIRST_TIME_AT, LAST_TIME_AT = 17, 27, 35
TIME = struct.Struct(">q")
CRC = struct.Struct(">I")
# Of a time index: a time and an offset, as often as there is something in it.
INDEX_ENTRY = struct.Struct(">qi")
# Of a spooled pack: length, checksum of all behind it, partition, time.
SPOOLED_HEAD = struct.Struct(">IIHQ")
SPOOLED_CRC_AT, SPOOLED_REST_AT = 4, 8
HOUR_MS = 3_600_000
WINDOW_HOURS = 24


def unpack(archive: Path, folder: Path, later_ms: int) -> None:
    """Unpack data and keys below `folder`, with everything that expires `later_ms` later than it was."""
    folder.mkdir(mode=0o700, exist_ok=True)
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="tar")
    for one in (folder / "data", folder / "keys"):
        one.chmod(0o700)
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            os.utime(path)
    for key in (folder / "keys").glob("*.key"):
        begins, _, rest = key.name.partition("-")
        key.rename(key.with_name(f"{int(begins) + later_ms:013d}-{rest}"))
    for topic in all_topics():
        for partition in (folder / "data" / "kafka" / "log").glob(f"{topic.name}-*"):
            for path in partition.glob("*.log"):
                path.write_bytes(move_batches(path.read_bytes(), later_ms))
            for path in partition.glob("*.timeindex"):
                path.write_bytes(move_index(path.read_bytes(), later_ms))
    for path in (folder / "data" / "ingest" / "spool").glob("*/*.seg"):
        path.write_bytes(move_spooled(path.read_bytes(), later_ms))


def window_hours(later_ms: int) -> int:
    """A window of duplicates that reaches as far back into the recording as it did when that was made."""
    return WINDOW_HOURS + max(0, later_ms) // HOUR_MS


def move_batches(segment: bytes, later_ms: int) -> bytes:
    """A segment of a topic's log with all times moved. With LogAppendTime a batch's last time is its records' time."""
    moved = bytearray(segment)
    at = 0
    while at < len(moved):
        _, length = BATCH_HEAD.unpack_from(moved, at)
        end = at + BATCH_HEAD.size + length
        for place in (at + FIRST_TIME_AT, at + LAST_TIME_AT):
            (time_ms,) = TIME.unpack_from(moved, place)
            TIME.pack_into(moved, place, time_ms + later_ms)
        CRC.pack_into(moved, at + CRC_AT, crc32c(moved[at + CRC_AT + CRC.size : end]))
        at = end
    return bytes(moved)


def move_index(index: bytes, later_ms: int) -> bytes:
    """A time index with all times moved."""
    return b"".join(
        INDEX_ENTRY.pack(time_ms + later_ms if time_ms > 0 else time_ms, offset)
        for time_ms, offset in INDEX_ENTRY.iter_unpack(index)
    )


def move_spooled(segment: bytes, later_ms: int) -> bytes:
    """A segment of the spool with all times moved."""
    moved = bytearray(segment)
    at = 0
    while at < len(moved):
        length, _, partition, time_ms = SPOOLED_HEAD.unpack_from(moved, at)
        end = at + SPOOLED_HEAD.size + length
        SPOOLED_HEAD.pack_into(moved, at, length, 0, partition, time_ms + later_ms)
        CRC.pack_into(moved, at + SPOOLED_CRC_AT, crc32(moved[at + SPOOLED_REST_AT : end]))
        at = end
    return bytes(moved)


def crc32c(data: bytes | bytearray) -> int:
    """Castagnoli's checksum, as Kafka's batches carry it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC32C[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _crc32c_of(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_CRC32C = tuple(map(_crc32c_of, range(256)))
