"""Kafka's protocol over a plain socket, as far as a health check and a quota need it: 1 ms and no client library.

A login is SCRAM-SHA-256 (RFC 5802): the password never leaves this process, and the broker proves that it knows it too.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import socket
import struct
from collections.abc import Mapping

SASL_HANDSHAKE, SASL_AUTHENTICATE, ALTER_QUOTAS = (17, 1), (36, 0), (49, 0)
ANSWER_SIZE_MAX = 1 << 20  # bytes; the answer of one broker is about 60
ITERATIONS_MAX = 100_000  # of a broker's challenge; more would only keep this process busy


class LoginRefused(Exception):
    """The broker does not take this login, or does not know the password itself."""


class Wire:
    """One connection; every call raises OSError or struct.error when the other side is away or speaks nonsense."""

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        self._socket = socket.create_connection((host, port), timeout_s)
        self._socket.settimeout(timeout_s)
        self._number = 0

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def call(self, request: tuple[int, int], body: bytes) -> bytes:
        """Send one request (key, version); returns the body of its answer."""
        self._number += 1
        message = struct.pack(">hhih", *request, self._number, -1) + body
        self._socket.sendall(struct.pack(">i", len(message)) + message)
        (size,) = struct.unpack(">i", self._read(4))
        if not 4 <= size <= ANSWER_SIZE_MAX:
            raise ConnectionError("not an answer of Kafka")
        answer = self._read(size)
        if struct.unpack_from(">i", answer) != (self._number,):
            raise ConnectionError("the answer to another question")
        return answer[4:]

    def login(self, user: str, password: str) -> None:
        """Log in. Raises LoginRefused."""
        (error,) = struct.unpack_from(">h", self.call(SASL_HANDSHAKE, text("SCRAM-SHA-256")))
        if error:
            raise LoginRefused("no SCRAM-SHA-256 there")
        nonce = base64.b64encode(secrets.token_bytes(18)).decode()
        first = f"n={user},r={nonce}"
        challenge = self._authenticate(f"n,,{first}")
        fields = dict(part.split("=", 1) for part in challenge.split(",") if "=" in part)
        try:
            salt, iterations, both = base64.b64decode(fields["s"]), int(fields["i"]), fields["r"]
        except (KeyError, ValueError):
            raise LoginRefused("the challenge cannot be read") from None
        if not both.startswith(nonce) or not 0 < iterations <= ITERATIONS_MAX:
            raise LoginRefused("the challenge is none of ours")
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
        last = f"c=biws,r={both}"
        exchange = f"{first},{challenge},{last}".encode()
        key = hmac.digest(salted, b"Client Key", "sha256")
        mask = hmac.digest(hashlib.sha256(key).digest(), exchange, "sha256")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, mask, strict=True))).decode()
        final = self._authenticate(f"{last},p={proof}")
        theirs = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), exchange, "sha256")
        if not hmac.compare_digest(final, f"v={base64.b64encode(theirs).decode()}"):
            raise LoginRefused("the broker does not know the password")

    def set_user_quotas(self, user: str, quotas: Mapping[str, float]) -> None:
        """What one user may use of the broker. Raises OSError when the broker refuses."""
        values = b"".join(text(name) + struct.pack(">d?", value, False) for name, value in quotas.items())
        entity = struct.pack(">i", 1) + text("user") + text(user)
        body = struct.pack(">i", 1) + entity + struct.pack(">i", len(quotas)) + values + b"\0"
        _, _, error = struct.unpack_from(">iih", self.call(ALTER_QUOTAS, body))
        if error:
            raise OSError(f"the broker refuses the quotas: error {error}")

    def _authenticate(self, exchange: str) -> str:
        data = exchange.encode()
        try:
            answer = self.call(SASL_AUTHENTICATE, struct.pack(">i", len(data)) + data)
        except ConnectionError:
            raise LoginRefused("the broker closed the connection") from None
        error, length = struct.unpack_from(">hh", answer)
        if error:
            raise LoginRefused(f"error {error}")
        at = 4 + max(0, length)
        (size,) = struct.unpack_from(">i", answer, at)
        return answer[at + 4 : at + 4 + size].decode("utf-8", "replace")

    def _read(self, size: int) -> bytes:
        parts = b""
        while len(parts) < size:
            part = self._socket.recv(size - len(parts))
            if not part:
                raise ConnectionError("closed")
            parts += part
        return parts


def text(value: str) -> bytes:
    """A string as Kafka writes it."""
    data = value.encode()
    return struct.pack(">h", len(data)) + data
