"""Seam: the files an edge reads again while it runs (configuration, secrets, key ring), and their last good content."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from ingest.mail.links import link_key
from ingest.mail.opens import MailRules, mail_rules
from ingest.reading.sites import Sites
from ingest.visitors.rules import VisitorRules, visitor_rules
from runtime.config import ConfigError, parse_config
from runtime.logs import get_logger
from runtime.secrets import SecretsError, parse_secrets
from runtime.settings import PlatformSettings
from schemas.ring import Key, Ring, RingError

log = get_logger()

Stamp = tuple[tuple[str, int, int], ...]  # name, mtime, size of each file


class ReloadableConfiguration:
    """Sites and keys as they stand on disk now; a broken file is refused with its reason and the old content stays."""

    def __init__(self, settings: PlatformSettings, environ: Mapping[str, str]) -> None:
        """Raises ConfigError, SecretsError or OSError where there is no old content to stay with."""
        self._settings = settings
        self._environ = environ
        self._config_stamp = self._stamp_config()
        self._ring_stamp: Stamp | None = None
        self.link_key = b""  # of the links of mails
        self.mail: Mapping[str, MailRules] = {}  # by site
        self.visitors: Mapping[str, VisitorRules] = {}  # by site
        self.sites = self._read_sites()
        self.ring = Ring.of({})
        self.refresh_ring()

    def newest_key(self, now_ms: int) -> Key:
        """The key to seal under. Raises RingError while there has never been one."""
        return self.ring.newest(now_ms)

    def refresh(self) -> None:
        """Look at the files again: a few stat calls, about 30 µs when nothing changed."""
        self.refresh_sites()
        self.refresh_ring()

    def refresh_sites(self) -> None:
        """Take a changed configuration, or say why not."""
        stamp = self._stamp_config()
        if stamp == self._config_stamp:
            return
        self._config_stamp = stamp
        try:
            self.sites = self._read_sites()
        except (ConfigError, SecretsError) as error:
            log.error("config_refused", reason=str(error), now="the old configuration stays live")
        except OSError as error:
            log.error(
                "config_refused",
                reason=f"{error.filename}: {error.strerror}",
                now="the old configuration stays live",
            )
        else:
            log.info(
                "config_taken", sites=len({credential.site for credential in self.sites.public.values()})
            )

    def refresh_ring(self) -> None:
        """Take new keys; a folder that cannot be read leaves the keys there are, so no hit is refused for it."""
        try:
            stamp = _stamp(self._settings.keys.glob("*.key"))
            if stamp == self._ring_stamp:
                return
            ring = read_ring(self._settings.keys)
        except (RingError, OSError) as error:
            log.error("ring_not_read", reason=type(error).__name__, keys=len(self.ring.keys))
            return
        self._ring_stamp = stamp
        if ring.keys or not self.ring.keys:
            self.ring = ring

    def _stamp_config(self) -> Stamp:
        return _stamp((self._settings.config_path, self._settings.secrets_path))

    def _read_sites(self) -> Sites:
        config = parse_config(self._settings.config_path.read_text("utf-8"))
        secrets = parse_secrets(self._settings.secrets_path.read_text("utf-8"), self._environ)
        self.link_key, self.mail = link_key(secrets.identity_secret), mail_rules(config, secrets)
        self.visitors = visitor_rules(config, secrets.identity_secret)
        return Sites.of(config, secrets.site_secret_keys, secrets.identity_secret)


def read_ring(folder: Path) -> Ring:
    """All keys of the folder. Raises RingError for a damaged file, OSError where one cannot be read."""
    return Ring.of({path.name: path.read_bytes() for path in folder.glob("*.key")})


def _stamp(paths: Iterable[Path]) -> Stamp:
    found = []
    for path in sorted(paths):
        try:
            state = os.stat(path)
        except OSError:
            continue  # what is missing shows by not being listed
        found.append((path.name, state.st_mtime_ns, state.st_size))
    return tuple(found)
