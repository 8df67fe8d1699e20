"""The edge's certificate and key, checked before anything starts, so that a mistake is a sentence; its handshakes."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

from ingest.settings import EdgeSettings
from runtime.settings import SettingError


def check_tls(cert: Path, key: Path) -> None:
    """Raises SettingError where the two cannot be read, or do not belong together, saying what to do."""
    chain, private = _read(cert, "FAIRPIXEL_TLS_CERT"), _read(key, "FAIRPIXEL_TLS_KEY")
    if "-----BEGIN CERTIFICATE-----" not in chain:
        raise SettingError(
            f"FAIRPIXEL_TLS_CERT: {cert} holds no certificate: expected PEM, the server's own first"
        )
    if "-----BEGIN PRIVATE KEY-----" not in private:
        raise SettingError(
            f"FAIRPIXEL_TLS_KEY: {key} holds no PKCS#8 key without a password; make one with:"
            f" openssl pkcs8 -topk8 -nocrypt -in {key} -out {key.with_suffix('.pkcs8.pem')}"
        )
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
    except ssl.SSLError as error:
        if "KEY_VALUES_MISMATCH" in str(error):
            raise SettingError(
                f"FAIRPIXEL_TLS_KEY: {key} is not the key of the certificate in {cert}"
            ) from None
        raise SettingError(
            f"FAIRPIXEL_TLS_CERT, FAIRPIXEL_TLS_KEY: not readable as PEM: {error.reason}"
        ) from None


def build_tls(lowest: str, _: object, build: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """What uvicorn would build, and no version below `lowest`: 1.2 or 1.3."""
    context = build()
    context.minimum_version = ssl.TLSVersion.TLSv1_2 if lowest == "1.2" else ssl.TLSVersion.TLSv1_3
    return context


class EdgeLoop(uvloop.Loop):
    """uvloop, for handshakes that end in the time a header may take: asyncio would give a silent client a minute."""

    async def create_server(self, *arguments: Any, **options: Any) -> Any:
        """As the base class."""
        if options.get("ssl") is not None:
            seconds_max = EdgeSettings.from_env(os.environ).header_seconds_max
            options["ssl_handshake_timeout"] = float(seconds_max)
        return await super().create_server(*arguments, **options)


def _read(path: Path, variable: str) -> str:
    try:
        return path.read_text("ascii", "replace")
    except OSError as error:
        raise SettingError(
            f"{variable}: {path}: {error.strerror}; expected a file that this user may read"
        ) from None
