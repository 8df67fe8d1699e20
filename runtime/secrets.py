"""secrets.toml: what only the platform's owner may read; values come in as text and never go into a log."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

IDENTITY_SECRET_BYTES = 32
MAIL_SECRETS = ("mailchimp_secret", "mandrill_key")  # with which these services prove who they are


@dataclass(frozen=True, slots=True)
class Secrets:
    """All secrets of one platform; `repr` shows none of them."""

    clickhouse_password: str = field(default="", repr=False)
    identity_secret: bytes = field(default=b"", repr=False)
    site_secret_keys: Mapping[str, str] = field(default_factory=dict, repr=False)  # site -> secret key
    site_mail_secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)


class SecretsError(ValueError):
    """secrets.toml cannot be used; the text never repeats a value."""


def read_secrets(path: Path, environ: Mapping[str, str]) -> Secrets:
    """What stands in the file. Raises SecretsError for what cannot be used, OSError for what cannot be read."""
    try:
        return parse_secrets(path.read_text("utf-8"), environ)
    except UnicodeDecodeError as error:
        raise SecretsError(
            f"{path.name}: not UTF-8 at byte {error.start}; restore it from a backup"
        ) from None


def parse_secrets(text: str, environ: Mapping[str, str]) -> Secrets:
    """Read secrets.toml; FAIRPIXEL_CLICKHOUSE_PASSWORD and FAIRPIXEL_IDENTITY_SECRET override it."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise SecretsError("secrets.toml: not readable as TOML; restore it from a backup") from None
    try:
        identity = bytes.fromhex(
            environ.get("FAIRPIXEL_IDENTITY_SECRET") or str(data.get("identity_secret", ""))
        )
    except ValueError:
        raise SecretsError("identity_secret: expected hexadecimal digits") from None
    if len(identity) < IDENTITY_SECRET_BYTES:
        raise SecretsError(
            f"identity_secret: expected at least {IDENTITY_SECRET_BYTES} bytes in hexadecimal digits"
        )
    sites = data.get("sites", {})
    if not isinstance(sites, dict) or not all(isinstance(site, dict) for site in sites.values()):
        raise SecretsError("secrets.toml: expected tables [sites.<name>] with a secret_key each")
    return Secrets(
        clickhouse_password=environ.get("FAIRPIXEL_CLICKHOUSE_PASSWORD")
        or str(data.get("clickhouse_password", "")),
        identity_secret=identity,
        site_secret_keys={
            name: str(site.get("secret_key", "")) for name, site in sites.items() if site.get("secret_key")
        },
        site_mail_secrets={
            name: {one: str(site[one]) for one in MAIL_SECRETS if site.get(one)}
            for name, site in sites.items()
        },
    )
