"""How a program reaches Kafka: addresses, login and encryption in one value that every client is built from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from schemas.settings import PlatformSettings, SettingError

SCRAM = "SCRAM-SHA-256"
MECHANISMS = (SCRAM, "SCRAM-SHA-512", "PLAIN")
SECURITIES = ("plaintext", "sasl_plaintext", "ssl", "sasl_ssl")


@dataclass(frozen=True, slots=True)
class KafkaAccess:
    """Addresses by comma, and a login where the broker asks for one; `repr` never shows the password."""

    bootstrap: str
    user: str = ""
    password: str = field(default="", repr=False)
    security: str = "plaintext"
    mechanism: str = SCRAM
    ca: str = ""

    @property
    def has_login(self) -> bool:
        return self.security.startswith("sasl")

    @property
    def is_encrypted(self) -> bool:
        return self.security.endswith("ssl")

    def client(self) -> dict[str, Any]:
        """The part of a confluent-kafka configuration that says where and as whom."""
        config = {"bootstrap.servers": self.bootstrap, "security.protocol": self.security}
        if self.has_login:
            config |= {
                "sasl.mechanism": self.mechanism,
                "sasl.username": self.user,
                "sasl.password": self.password,
            }
        if self.is_encrypted and self.ca:
            config["ssl.ca.location"] = self.ca
        return config


def find_access(settings: PlatformSettings, program: str) -> KafkaAccess:
    """How `program` reaches Kafka. Raises SettingError."""
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
    access = KafkaAccess(
        settings.bootstrap,
        settings.kafka_user,
        settings.kafka_password,
        security,
        settings.kafka_mechanism,
        settings.kafka_ca,
    )
    if settings.kafka_user and not access.has_login:
        raise SettingError(
            f"FAIRPIXEL_KAFKA_SECURITY: {security} sends no login, and FAIRPIXEL_KAFKA_USER names one"
        )
    if access.has_login and not (access.user and access.password):
        missing = "PASSWORD" if access.user else "USER"
        raise SettingError(f"FAIRPIXEL_KAFKA_{missing}: expected, as {security} asks for a login")
    return access


def _usual_security(settings: PlatformSettings) -> str:
    # A password goes to another machine in the open only when somebody says so.
    if settings.kafka_user:
        return "sasl_ssl"
    return "ssl" if settings.kafka_ca else "plaintext"
