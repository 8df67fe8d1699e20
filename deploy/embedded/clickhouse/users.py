"""Who is asking: the server's own list of two users, one that reads without a password and one that writes."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from deploy.embedded.clickhouse.errors import ClickHouseError
from deploy.embedded.clickhouse.headers import Headers


@dataclass(frozen=True, slots=True)
class User:
    name: str
    readonly: bool


@dataclass(frozen=True, slots=True)
class Users:
    """`default` reads without a password; the writer needs the secret."""

    writer: str
    password: str

    def authenticate(self, headers: Headers, params: Mapping[str, str]) -> User:
        """The user named by X-ClickHouse-User/-Key, Basic login or user=/password=, in this order, as in ClickHouse.

        Raises ClickHouseError 516 for a wrong login and for two kinds of login in one request.
        """
        name, password = _login(headers, params)
        # The word null stands for none: ClickHouse's Java client writes it for a password that nobody gave.
        if name == "default" and password in ("", "null"):
            return User("default", readonly=True)
        right = hmac.compare_digest(_bytes(password), _bytes(self.password))  # the same time for any name
        if right and name == self.writer:
            return User(name, readonly=False)
        raise ClickHouseError(
            516,
            "AUTHENTICATION_FAILED",
            f"{_shown(name)}: Authentication failed: password is incorrect, or there is no user with such name.",
        )


def _bytes(word: str) -> bytes:
    """Whatever came as a password: an address may hold bytes that are no text."""
    return word.encode("utf-8", "surrogatepass")


def _shown(name: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in name[:64])


def _login(headers: Headers, params: Mapping[str, str]) -> tuple[str, str]:
    user, key = headers.get("X-ClickHouse-User"), headers.get("X-ClickHouse-Key")
    basic = headers.get("Authorization")
    if user is not None or key is not None:
        if basic:
            raise ClickHouseError(
                516,
                "AUTHENTICATION_FAILED",
                "Invalid authentication: it is not allowed to use X-ClickHouse HTTP headers and Authorization HTTP "
                "header simultaneously",
            )
        return user or "default", key or ""
    if basic:
        scheme, _, value = basic.partition(" ")
        try:
            if scheme.lower() != "basic":
                raise ValueError
            name, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (ValueError, binascii.Error):
            raise ClickHouseError(
                516,
                "AUTHENTICATION_FAILED",
                "Invalid authentication: the HTTP Authorization header is not readable",
            ) from None
        return name or "default", password
    return params.get("user") or "default", params.get("password", "")
