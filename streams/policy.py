"""What the operator decided, as it stands now: configuration and key ring, read again as they change (seam: files)."""

from __future__ import annotations

import time
from pathlib import Path

from runtime.config import read_config
from runtime.keyring import keep_ring, read_ring
from runtime.live_file import ReloadableFile, reason_of
from runtime.logs import get_logger
from schemas.avro_codec import PackError
from schemas.drops import DeadReason
from schemas.ring import Ring, RingError
from schemas.seal import Envelope, open_seal
from streams.rules import Rules, build_rules

RING_AGAIN_SECONDS = 1.0  # a flood of packs under unknown keys reads the folder once a second at the most


class Policy:
    """The rules and the ring of this moment. A broken file is refused and logged; what was read before stays live."""

    def __init__(self, config_path: Path, keys: Path, identity_secret: bytes) -> None:
        """Raises ConfigError, RingError or OSError: without a first good reading there is nothing to go by."""
        self._keys = keys
        self._config = ReloadableFile(
            lambda: [config_path],
            lambda: build_rules(read_config(config_path), identity_secret),
            self._refuse_config,
        )
        self.rules: Rules = self._config.value
        self.ring: Ring = keep_ring(keys, _now_ms())
        self._ring_read_at = time.monotonic()

    def refresh_config(self) -> None:
        """Read fairpixel.toml again if it changed."""
        if not self._config.look():
            return
        rules = self._config.value
        if rules.version != self.rules.version:
            get_logger().info("config_read", rules_version=rules.version)
        self.rules = rules

    def refresh_ring(self) -> None:
        """Make the keys of the coming days, destroy the old ones."""
        try:
            self.ring = keep_ring(self._keys, _now_ms())
        except (RingError, OSError) as error:
            get_logger().error("ring_refused", reason=str(error), advice="the keys from before stay in use")

    def open_pack(self, envelope: Envelope) -> bytes:
        """Open a sealed pack; a key the ring lacks may have been made since it was read. Raises PackError."""
        try:
            return open_seal(envelope, self.ring)
        except PackError as error:
            if (
                error.reason is not DeadReason.NO_KEY
                or time.monotonic() - self._ring_read_at < RING_AGAIN_SECONDS
            ):
                raise
        self._ring_read_at = time.monotonic()
        try:
            self.ring = read_ring(self._keys)
        except (RingError, OSError) as error:
            get_logger().error("ring_refused", reason=str(error), advice="the keys from before stay in use")
        return open_seal(envelope, self.ring)

    def _refuse_config(self, error: Exception) -> None:
        get_logger().error(
            "config_refused", reason=reason_of(error), advice="the rules from before stay in force"
        )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
