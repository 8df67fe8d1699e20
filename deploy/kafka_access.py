"""Brings Kafka's logins, rules and quotas to what `deploy.kafka_acls` says; changes nothing where all is right."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from deploy.embedded.kafka_wire import LoginRefused, Wire
from deploy.kafka_acls import ANONYMOUS, ANONYMOUS_QUOTAS, PROGRAMS, Rule, principals
from runtime.errors import UserError
from runtime.kafka_access import KafkaAccess, find_login
from runtime.settings import PlatformSettings

ASK_S_MAX = 10.0
ITERATIONS = 4096  # the least Kafka takes: these passwords are 256 random bits, which no guessing reaches


def ensure_access(
    admin: AdminClient, kafka: KafkaAccess, settings: PlatformSettings, rules: Sequence[Rule]
) -> list[str]:
    """Make logins, rules and quotas stand as they should; a line for each change. Raises UserError."""
    if kafka.security != "sasl_plaintext":
        raise UserError(
            f"Who may do what is set up over sasl_plaintext only, not over {kafka.security}.",
            "Give the rules of docs/kafka-acls.md to the cluster with its own tools, and leave --access out.",
        )
    try:
        # Rules first: an idempotent producer that logs in before it may write is broken for good.
        changed = [*_ensure_rules(admin, rules), *_ensure_users(admin, kafka, settings)]
        _limit_anonymous(kafka)
    except (KafkaException, OSError, LoginRefused, struct.error) as error:
        raise UserError(
            f"Who may do what cannot be set up on {kafka.bootstrap}: {reason(error)}.",
            "Check the broker's log (kafka.log in the logs folder).",
        ) from None
    return changed


def missing_rules(admin: AdminClient, rules: Sequence[Rule]) -> tuple[set[AclBinding], set[AclBinding]]:
    """(rules the broker does not have, rules it has of our principals that are not on the list)."""
    wanted = {one for rule in rules for one in bindings(rule)}
    found: set[AclBinding] = set()
    for principal in principals(rules):
        asked: Any = admin.describe_acls(_every_rule_of(principal), request_timeout=ASK_S_MAX)
        found |= set(asked.result(ASK_S_MAX))
    return wanted - found, found - wanted


def bindings(rule: Rule) -> list[AclBinding]:
    """A rule in the client's words."""
    return [
        AclBinding(
            ResourceType[rule.resource.upper()],
            rule.name,
            ResourcePatternType.LITERAL,
            f"User:{rule.principal}",
            "*",
            AclOperation[operation.upper()],
            AclPermissionType.ALLOW,
        )
        for operation in rule.operations
    ]


def set_password(admin: AdminClient, user: str, password: str) -> None:
    """Make or change a login. Raises KafkaException."""
    how = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, ITERATIONS)
    change = UserScramCredentialUpsertion(user, how, password.encode())
    for future in admin.alter_user_scram_credentials([change], request_timeout=ASK_S_MAX).values():
        future.result(ASK_S_MAX)


def reason(error: Exception) -> str:
    """Why, without a secret."""
    return error.args[0].name() if isinstance(error, KafkaException) else str(error)


def _ensure_rules(admin: AdminClient, rules: Sequence[Rule]) -> list[str]:
    missing, foreign = missing_rules(admin, rules)
    if missing:
        for made in admin.create_acls(sorted(missing, key=str), request_timeout=ASK_S_MAX).values():
            made.result(ASK_S_MAX)
    if foreign:
        filters = [
            AclBindingFilter(
                one.restype, one.name, one.resource_pattern_type, one.principal, one.host, one.operation,
                one.permission_type,
            )
            for one in sorted(foreign, key=str)
        ]  # fmt: skip
        for gone in admin.delete_acls(filters, request_timeout=ASK_S_MAX).values():
            gone.result(ASK_S_MAX)
    return [
        *(f"allowed {one.principal} to {_words(one)}" for one in sorted(missing, key=str)),
        *(f"no longer allowed {one.principal} to {_words(one)}" for one in sorted(foreign, key=str)),
    ]


def _ensure_users(admin: AdminClient, kafka: KafkaAccess, settings: PlatformSettings) -> list[str]:
    changed = []
    # Its own too: on a broker in a container it comes in by another mechanism at first.
    for user, password in ((kafka.user, kafka.password), *(find_login(settings, one) for one in PROGRAMS)):
        try:
            with _connect(kafka) as wire:
                wire.login(user, password)
        except LoginRefused:
            set_password(admin, user, password)
            changed.append(f"made the login of {user}")
    return changed


def _limit_anonymous(kafka: KafkaAccess) -> None:
    with _connect(kafka) as wire:
        wire.login(kafka.user, kafka.password)
        wire.set_user_quotas(ANONYMOUS, ANONYMOUS_QUOTAS)


def _connect(kafka: KafkaAccess) -> Wire:
    host, _, port = kafka.bootstrap.split(",")[0].strip().rpartition(":")
    return Wire(host, int(port), ASK_S_MAX)


def _every_rule_of(principal: str) -> AclBindingFilter:
    anything: Any = None  # typed as text, and documented to match every name
    return AclBindingFilter(
        ResourceType.ANY, anything, ResourcePatternType.ANY, f"User:{principal}", anything, AclOperation.ANY,
        AclPermissionType.ANY,
    )  # fmt: skip


def _words(one: Any) -> str:
    return f"{one.operation.name.lower()} {one.restype.name.lower()} {one.name}"
