"""Settings from the environment: read once, frozen, each with a sentence that docs/settings.md repeats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit


class SettingError(ValueError):
    """A setting that cannot be used; its text names the variable, what was expected and what was found."""


def setting(variable: str, default: Any, meaning: str) -> Any:
    """A dataclass field that is read from `variable`; `meaning` is its line in the documentation."""
    return field(default=default, metadata={"variable": variable, "meaning": meaning})


@dataclass(frozen=True, slots=True)
class FromEnv:
    """Base of all settings: reads each field from its variable by the type of its default."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Raises SettingError, such as `FAIRPIXEL_EDGE_PORT: expected a whole number, got "fast"`."""
        values = {
            one.name: _parse(one.metadata["variable"], environ[one.metadata["variable"]], one.default)
            for one in documented_fields(cls)
            if environ.get(one.metadata["variable"], "") != ""
        }
        return cls(**values)


def documented_fields(settings: type[FromEnv]) -> list[Field[Any]]:
    """The fields of a settings class that have a variable, for documentation and parsing."""
    return [one for one in fields(settings) if "variable" in one.metadata]


def _parse(variable: str, text: str, default: object) -> object:
    match default:
        case bool():
            if text.lower() in ("1", "true", "yes", "on"):
                return True
            if text.lower() in ("0", "false", "no", "off"):
                return False
            raise SettingError(f'{variable}: expected true or false, got "{text}"')
        case int():
            try:
                number = int(text)
            except ValueError:
                raise SettingError(f'{variable}: expected a whole number, got "{text}"') from None
            if variable.endswith("_PORT") and not 1 <= number <= 65_535:
                raise SettingError(f'{variable}: expected a port from 1 to 65535, got "{text}"')
            if number < 0:
                raise SettingError(f'{variable}: expected a number that is not negative, got "{text}"')
            return number
        case Path():
            return Path(text)
        case _:
            return text


@dataclass(frozen=True, slots=True)
class PlatformSettings(FromEnv):
    """Where everything lies and listens; every program reads these."""

    data: Path = setting("FAIRPIXEL_DATA", Path(".fairpixel"), "the folder everything is written to")
    keys: Path = setting(
        "FAIRPIXEL_KEYS", Path(".fairpixel-keys"), "the folder of the key ring; keep it out of backups"
    )
    edge_port: int = setting("FAIRPIXEL_EDGE_PORT", 8000, "port of the edge: pixels, events")
    console_port: int = setting("FAIRPIXEL_CONSOLE_PORT", 8080, "port of the console")
    clickhouse_port: int = setting("FAIRPIXEL_CLICKHOUSE_PORT", 8123, "port of the embedded ClickHouse, HTTP")
    kafka_port: int = setting(
        "FAIRPIXEL_KAFKA_PORT", 9092, "port of the embedded Kafka for people's own producers, without a login"
    )
    kafka_programs_port: int = setting(
        "FAIRPIXEL_KAFKA_PROGRAMS_PORT", 9094, "its port for the platform's programs, which log in"
    )
    kafka_controller_port: int = setting(
        "FAIRPIXEL_KAFKA_CONTROLLER_PORT", 9093, "port of its KRaft controller"
    )
    streams_port: int = setting(
        "FAIRPIXEL_STREAMS_PORT", 8001, "port of the streams worker's health and metrics"
    )
    streams_more_port: int = setting(
        "FAIRPIXEL_STREAMS_MORE_PORT", 8011, "the same of a second streams worker; a third has the next port"
    )
    sinks_port: int = setting("FAIRPIXEL_SINKS_PORT", 8002, "port of the loader's health and metrics")
    alerts_port: int = setting(
        "FAIRPIXEL_ALERTS_PORT", 8003, "port of the alert watcher's health and metrics"
    )
    cores: int = setting(
        "FAIRPIXEL_CORES",
        0,
        "cores that `make up` counts on for the number of workers and partitions; 0: those it may use",
    )
    streams_workers: int = setting(
        "FAIRPIXEL_STREAMS_WORKERS",
        0,
        "streams workers that `make up` starts, at most one a partition; 0: by the cores",
    )
    kafka_partitions: int = setting(
        "FAIRPIXEL_KAFKA_PARTITIONS",
        0,
        "partitions of the topics, fixed by the first start; a multiple of those there are makes them grow; "
        "0: by the cores",
    )
    kafka_bootstrap: str = setting(
        "FAIRPIXEL_KAFKA_BOOTSTRAP", "", "Kafka's addresses; empty: the embedded one"
    )
    kafka_user: str = setting(
        "FAIRPIXEL_KAFKA_USER", "", "the user that logs in to another Kafka; empty: no login"
    )
    kafka_password: str = setting("FAIRPIXEL_KAFKA_PASSWORD", "", "its password")
    kafka_security: str = setting(
        "FAIRPIXEL_KAFKA_SECURITY",
        "",
        "of another Kafka: plaintext, sasl_plaintext, ssl or sasl_ssl; empty: sasl_ssl with a user, plaintext without",
    )
    kafka_mechanism: str = setting(
        "FAIRPIXEL_KAFKA_MECHANISM", "SCRAM-SHA-256", "of the login: SCRAM-SHA-256, SCRAM-SHA-512 or PLAIN"
    )
    kafka_ca: str = setting(
        "FAIRPIXEL_KAFKA_CA", "", "certificates (PEM) that prove the brokers; empty: those of the system"
    )
    clickhouse_url: str = setting(
        "FAIRPIXEL_CLICKHOUSE_URL", "", "ClickHouse's HTTP address; empty: the embedded one"
    )
    clickhouse_user: str = setting(
        "FAIRPIXEL_CLICKHOUSE_USER", "fairpixel", "the user that writes to ClickHouse"
    )
    clickhouse_password: str = setting(
        "FAIRPIXEL_CLICKHOUSE_PASSWORD", "", "its password; empty: from secrets.toml"
    )
    identity_secret: str = setting(
        "FAIRPIXEL_IDENTITY_SECRET", "", "hex secret behind keyed hashes; empty: from secrets.toml"
    )
    tls_cert: str = setting(
        "FAIRPIXEL_TLS_CERT",
        "",
        "certificate chain (PEM) the edge serves HTTPS with; read at its start; empty: HTTP, behind a proxy",
    )
    tls_key: str = setting("FAIRPIXEL_TLS_KEY", "", "its private key (PEM, PKCS#8, without a password)")
    config: str = setting(
        "FAIRPIXEL_CONFIG", "", "the configuration file; empty: fairpixel.toml in the data folder"
    )

    def __post_init__(self) -> None:
        """Raises SettingError where one of two is given that belong together, or an address cannot be read."""
        if bool(self.tls_cert) != bool(self.tls_key):
            given, missing = ("CERT", "KEY") if self.tls_cert else ("KEY", "CERT")
            raise SettingError(
                f"FAIRPIXEL_TLS_{missing}: expected a file, as FAIRPIXEL_TLS_{given} names one"
            )
        try:
            urlsplit(self.clickhouse_url).port  # noqa: B018
        except ValueError:
            # It may hold a password, so it is not repeated.
            raise SettingError(
                "FAIRPIXEL_CLICKHOUSE_URL: expected an address such as http://127.0.0.1:8123"
            ) from None

    @property
    def bootstrap(self) -> str:
        """Kafka's bootstrap addresses for people's own producers, `host:port` by comma."""
        return self.kafka_bootstrap or f"127.0.0.1:{self.kafka_port}"

    @property
    def warehouse_url(self) -> str:
        """ClickHouse's HTTP address, without a path."""
        return self.clickhouse_url or f"http://127.0.0.1:{self.clickhouse_port}"

    @property
    def edge_url(self) -> str:
        """The edge's own address on this machine."""
        return f"{'https' if self.tls_cert else 'http'}://127.0.0.1:{self.edge_port}"

    @property
    def config_path(self) -> Path:
        """Where fairpixel.toml lies."""
        return Path(self.config) if self.config else self.data / "fairpixel.toml"

    @property
    def kafka_logins(self) -> Path:
        """The folder of the programs' logins to Kafka, readable by its owner alone."""
        return self.data / "kafka-logins"

    @property
    def secrets_path(self) -> Path:
        """Where secrets.toml lies, readable by its owner alone."""
        return self.data / "secrets.toml"
