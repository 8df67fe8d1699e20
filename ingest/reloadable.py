"""Seam: the files an edge reads again while it runs (configuration, secrets, key ring), and their last good content."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ingest.mail.links import link_key
from ingest.mail.opens import MailRules, mail_rules
from ingest.notice.notice import Notice, build_notice
from ingest.reading.sites import Sites
from ingest.visitors.rules import VisitorRules, visitor_rules
from runtime.config import read_config
from runtime.keyring import read_ring
from runtime.live_file import ReloadableFile, reason_of
from runtime.logs import get_logger
from runtime.secrets import read_secrets
from runtime.settings import PlatformSettings
from schemas.ring import Key, Ring

log = get_logger()


class EdgeConfig(NamedTuple):
    """What the configuration and the secrets mean to an edge."""

    sites: Sites
    link_key: bytes  # of the links of mails
    mail: Mapping[str, MailRules]  # by site
    visitors: Mapping[str, VisitorRules]  # by site
    notices: Mapping[str, Notice]  # by site


class ReloadableConfiguration:
    """Sites and keys as they stand on disk now; a broken file is refused with its reason and the old content stays."""

    def __init__(self, settings: PlatformSettings, environ: Mapping[str, str]) -> None:
        """Raises ConfigError, SecretsError or OSError: there is no old content to stay with."""
        self._settings = settings
        self._environ = environ
        paths = (settings.config_path, settings.secrets_path)
        self._config = ReloadableFile(lambda: paths, self._read_config, self._refuse_config)
        self._ring = ReloadableFile(
            lambda: settings.keys.glob("*.key"),
            lambda: read_ring(settings.keys),
            self._refuse_ring,
            first=Ring.of({}),
        )
        # Attributes, not properties: each hit reads them.
        self.sites, self.link_key, self.mail, self.visitors, self.notices = self._config.value
        self.ring = self._ring.value
        self.refresh_ring()

    def newest_key(self, now_ms: int) -> Key:
        """The key to seal under. Raises RingError while there has never been one."""
        return self.ring.newest(now_ms)

    def refresh(self) -> None:
        """Look at the files again: a few stat calls when nothing changed."""
        self.refresh_sites()
        self.refresh_ring()

    def refresh_sites(self) -> None:
        """Take a changed configuration, or say why not."""
        if self._config.look():
            self.sites, self.link_key, self.mail, self.visitors, self.notices = self._config.value
            log.info(
                "config_taken", sites=len({credential.site for credential in self.sites.public.values()})
            )

    def refresh_ring(self) -> None:
        """Take new keys; a folder that cannot be read leaves the keys there are, so no hit is refused for it."""
        if self._ring.look() and (self._ring.value.keys or not self.ring.keys):
            self.ring = self._ring.value

    def _read_config(self) -> EdgeConfig:
        config = read_config(self._settings.config_path)
        secrets = read_secrets(self._settings.secrets_path, self._environ)
        return EdgeConfig(
            Sites.of(config, secrets.site_secret_keys, secrets.identity_secret),
            link_key(secrets.identity_secret),
            mail_rules(config, secrets),
            visitor_rules(config, secrets.identity_secret),
            {name: build_notice(name, site) for name, site in config.sites.items()},
        )

    def _refuse_config(self, error: Exception) -> None:
        log.error("config_refused", reason=reason_of(error), now="the old configuration stays live")

    def _refuse_ring(self, error: Exception) -> None:
        log.error("ring_not_read", reason=type(error).__name__, keys=len(self.ring.keys))
