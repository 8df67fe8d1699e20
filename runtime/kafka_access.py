"""How a program reaches Kafka: addresses, login and encryption in one value that every client is built from."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from runtime.errors import UserError
from runtime.logs import get_logger
from runtime.settings import PlatformSettings, SettingError
from schemas.topics import user_name

SCRAM = "SCRAM-SHA-256"
MECHANISMS = (SCRAM, "SCRAM-SHA-512", "PLAIN")
SECURITIES = ("plaintext", "sasl_plaintext", "ssl", "sasl_ssl")
_told: set[str] = set()  # users whose refusal was told, once a process: a client tries again for ever


@dataclass(frozen=True, slots=True)
class KafkaAccess:
    """Addresses by comma, and a login where the broker asks for one; `repr` never shows the password."""

    bootstrap: str
    user: str = ""
    password: str = field(default="", repr=False)
    security: str = "plaintext"
    mechanism: str = SCRAM
    ca: str = ""
    # Where its login came from, for people who look why it is refused.
    source: str = "FAIRPIXEL_KAFKA_USER and FAIRPIXEL_KAFKA_PASSWORD"

    @property
    def has_login(self) -> bool:
        return self.security.startswith("sasl")

    @property
    def is_encrypted(self) -> bool:
        return self.security.endswith("ssl")

    def client(self) -> dict[str, Any]:
        """The part of a confluent-kafka configuration that says where and as whom."""
        config: dict[str, Any] = {
            "bootstrap.servers": self.bootstrap,
            "security.protocol": self.security,
            "error_cb": self.report,
        }
        if self.has_login:
            config |= {
                "sasl.mechanism": self.mechanism,
                "sasl.username": self.user,
                "sasl.password": self.password,
            }
        if self.is_encrypted and self.ca:
            config["ssl.ca.location"] = self.ca
        return config

    def report(self, error: Any) -> None:
        """Tell of a refused login, which the client would only show as a broker that is away (a KafkaError)."""
        if error.name() != "_AUTHENTICATION" or self.user in _told:
            return
        _told.add(self.user)
        if structlog.is_configured():
            get_logger().error("kafka_login_refused", user=self.user, check=self.source)
        else:
            print(
                f"Kafka refuses the login of {self.user}: check {self.source}.", file=sys.stderr, flush=True
            )


def find_access(settings: PlatformSettings, program: str) -> KafkaAccess:
    """How `program` reaches Kafka. Raises SettingError."""
    if not settings.kafka_bootstrap:
        address = f"127.0.0.1:{settings.kafka_programs_port}"
        return KafkaAccess(
            address,
            *find_login(settings, program),
            "sasl_plaintext",
            source=str(settings.kafka_logins / program),
        )
    security = settings.kafka_security or _usual_security(settings)
    if security not in SECURITIES:
        raise SettingError(
            f'FAIRPIXEL_KAFKA_SECURITY: expected one of {", ".join(SECURITIES)}, got "{security}"'
        )
    if settings.kafka_mechanism not in MECHANISMS:
        raise SettingError(
            f"FAIRPIXEL_KAFKA_MECHANISM: expected one of {', '.join(MECHANISMS)}, "
            f'got "{settings.kafka_mechanism}"'
        )
    has_login = security.startswith("sasl")
    if settings.kafka_user and not has_login:
        raise SettingError(
            f"FAIRPIXEL_KAFKA_SECURITY: {security} sends no login, and FAIRPIXEL_KAFKA_USER names one"
        )
    if settings.kafka_user and not settings.kafka_password:
        raise SettingError("FAIRPIXEL_KAFKA_PASSWORD: expected, as FAIRPIXEL_KAFKA_USER is set")
    user, password = settings.kafka_user, settings.kafka_password
    if has_login and not user:
        user, password = find_login(settings, program)
    access = KafkaAccess(
        settings.kafka_bootstrap, user, password, security, settings.kafka_mechanism, settings.kafka_ca
    )
    return access if settings.kafka_user else replace(access, source=str(settings.kafka_logins / program))


def operator_access(settings: PlatformSettings) -> KafkaAccess:
    """How commands reach Kafka. Raises UserError where the login or a setting cannot be used."""
    try:
        return find_access(settings, "operator")
    except SettingError as error:
        raise UserError(
            f"There is no usable login to Kafka: {error}.",
            "FAIRPIXEL_DATA names the platform's folder; docs/settings.md has FAIRPIXEL_KAFKA_* for another Kafka.",
        ) from None


def find_login(settings: PlatformSettings, program: str) -> tuple[str, str]:
    """The user and password of a program, from its own file in the data folder. Raises SettingError."""
    path = settings.kafka_logins / program
    try:
        password = path.read_text("utf-8").strip()
    except FileNotFoundError:
        raise SettingError(
            f"{path}: not found; `fairpixel up` makes it, or set FAIRPIXEL_KAFKA_USER and FAIRPIXEL_KAFKA_PASSWORD"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{path}: not readable: {type(error).__name__}") from None
    if not password:
        raise SettingError(f"{path}: empty; remove the files in its folder and start the platform again")
    return user_name(program), password


def _usual_security(settings: PlatformSettings) -> str:
    # A password goes to another machine in the open only when somebody says so.
    if settings.kafka_user:
        return "sasl_ssl"
    return "ssl" if settings.kafka_ca else "plaintext"
