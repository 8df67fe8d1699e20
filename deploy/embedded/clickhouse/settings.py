"""Where the server listens, where its data lies, who may write and what every query may use."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class SettingsError(Exception):
    """The environment or the secrets file cannot be used; the text says which name and what to do."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may use; a request that asks for more is refused or ended with ClickHouse's own error."""

    running_count_max: int = 100  # queries at once; the next one gets TOO_MANY_SIMULTANEOUS_QUERIES
    reader_count_max: int = 40  # of these, at most so many without a login: the rest stay for the writer
    slot_wait_s_max: float = 5.0  # a query waits so long for a slot before it is told that there is none
    grace_s: float = 5.0  # a reader's statement that outlives its time is given up after so much more
    writer_seconds_max: float = 3600.0
    # A slot that the engine keeps so long after its end is lost: the process restarts.
    lost_s_max: float = 30.0
    connection_count_max: int = 256  # one more takes the place of the one that was silent longest
    head_s_max: float = 10.0  # a request's head comes whole within this time
    idle_s_max: float = 60.0  # a connection may be silent so long between requests
    idle_writer_s_max: float = 600.0
    body_s_max: float = 30.0  # a body comes within this time and what its length takes at the rate below
    body_bytes_per_s: int = 128 << 10
    reader_body_bytes_max: int = 64 << 20  # after decompression
    # One block of decompress=1, packed or not: ClickHouse makes them of 1 MiB, some clients make one of a whole insert.
    block_bytes_max: int = 64 << 20
    reader_block_bytes_max: int = 1 << 20
    reader_bodies_bytes_max: int = 256 << 20  # of all readers together, while they wait and run
    reader_answers_bytes_max: int = 256 << 20  # of all readers together, held back or not yet taken
    held_answer_bytes_max: int = 64 << 20  # wait_end_of_query=1 holds so much back; a longer answer streams
    # Query text, without the data of an INSERT; ClickHouse's own max_query_size.
    query_bytes_max: int = 256 << 10
    body_bytes_max: int = 1 << 30  # request body after decompression
    held_bytes_max: int = 64 << 20  # insert body collected before the insert begins; a longer one streams
    values_bytes_max: int = 256 << 10  # VALUES that may hold expressions; longer ones hold literals only
    answer_hold_bytes: int = 1 << 20  # answer held back so that an early error still gets its HTTP status
    reader_seconds_max: int = 60
    reader_memory_bytes_max: int = 2 << 30
    reader_result_bytes_max: int = 4 << 30
    engine_memory_bytes_max: int = 4 << 30


@dataclass(frozen=True, slots=True)
class ClickHouseSettings:
    data: Path
    port: int
    user: str
    password: str
    limits: Limits = Limits()
    secrets: tuple[Path, ...] = ()  # what the engine must never read: keys, passwords

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> ClickHouseSettings:
        """Read the environment and, for the password, secrets.toml; SettingsError says what is wrong."""
        root = Path(environ.get("FAIRPIXEL_DATA", ".fairpixel")).absolute()
        port = environ.get("FAIRPIXEL_CLICKHOUSE_PORT", "8123")
        if not port.isdecimal() or not 0 < int(port) < 65_536:
            raise SettingsError(f'FAIRPIXEL_CLICKHOUSE_PORT: expected a port from 1 to 65535, got "{port}"')
        if "?" in str(root) or "&" in str(root):
            raise SettingsError('FAIRPIXEL_DATA: the engine cannot open a folder with "?" or "&" in its name')
        password = environ.get("FAIRPIXEL_CLICKHOUSE_PASSWORD") or _secret(root / "secrets.toml")
        user = environ.get("FAIRPIXEL_CLICKHOUSE_USER", "fairpixel")
        if user == "default":
            raise SettingsError('FAIRPIXEL_CLICKHOUSE_USER: "default" reads without a password; name another')
        keys = Path(environ.get("FAIRPIXEL_KEYS") or ".fairpixel-keys").absolute()
        return cls(
            data=root / "clickhouse",
            port=int(port),
            user=user,
            password=password,
            secrets=(keys, root / "secrets.toml"),
        )


def _secret(path: Path) -> str:
    try:
        secret = tomllib.loads(path.read_text()).get("clickhouse_password", "")
    except FileNotFoundError:
        secret = ""
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from error
    if not isinstance(secret, str) or not secret:
        raise SettingsError(
            f"FAIRPIXEL_CLICKHOUSE_PASSWORD: not set, and {path} has no clickhouse_password; set either one"
        )
    return secret
