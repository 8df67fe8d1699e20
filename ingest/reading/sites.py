"""Whose key is it: from a key to its site, how far it is trusted, and the web origins it may come from."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from runtime.config import Config

PUBLIC = "public"
SECRET = "secret"


@dataclass(frozen=True, slots=True)
class Credential:
    """What a key stands for."""

    site: str
    trust: str  # PUBLIC or SECRET
    origins: frozenset[str] = frozenset()  # lower case, such as https://shop.example; empty: any
    events_per_second_max: int = 0  # of all keys of the site with this trust together; 0: no limit
    bucket: str = ""  # what they are counted under: the public keys take nothing from the secret one

    def may_come_from(self, origin: str) -> bool:
        """Whether a page of this web origin may send."""
        return not self.origins or origin.lower() in self.origins


@dataclass(frozen=True, slots=True)
class Sites:
    """All keys of one configuration."""

    public: Mapping[str, Credential]
    _secret: Mapping[bytes, tuple[str, Credential]]  # SHA-256 of the key -> key, sender
    _identity: bytes = field(default=b"", repr=False)

    @classmethod
    def of(cls, config: Config, secret_keys: Mapping[str, str], identity_secret: bytes = b"") -> Sites:
        """config: the sites and their public keys; secret_keys: site -> secret key."""
        public, secret = {}, {}
        for name, site in config.sites.items():
            origins = frozenset(form for origin in site.origins for form in _forms(origin))
            for key in config.public_keys(name):
                public[key] = Credential(name, PUBLIC, origins, site.events_per_second_max or 0, name)
            if key := secret_keys.get(name, ""):
                rate_max, bucket = site.secret_events_per_second_max or 0, f"{name} secret"
                secret[sha256(key.encode()).digest()] = (
                    key,
                    Credential(name, SECRET, origins, rate_max, bucket),
                )
        return cls(public, secret, identity_secret)

    def find(self, key: str) -> Credential | None:
        """The sender a key stands for; secret keys are found by their hash and compared in constant time."""
        credential = self.public.get(key)
        if credential is not None or not key:
            return credential
        encoded = key.encode("utf-8", "surrogatepass")
        known, credential = self._secret.get(sha256(encoded).digest(), ("", None))
        return credential if credential is not None and hmac.compare_digest(known.encode(), encoded) else None

    def secret_of(self, site: str) -> tuple[str, Credential]:
        """A site's secret key and whom it stands for, to check a signature with; the key is "" where it has none."""
        for key, credential in self._secret.values():
            if credential.site == site:
                return key, credential
        return "", Credential(site, PUBLIC)

    def id_secret(self, site: str) -> str:
        """What ids made from content are keyed with, so that nobody can try out from an id what was said: the site's
        secret key, or one of the platform's own where the site has none."""
        key = self.secret_of(site)[0]
        return key or hmac.digest(self._identity, b"derived ids\0" + site.encode(), "sha256").hex()

    def is_origin_declared(self, origin: str) -> bool:
        """Whether any site takes hits from pages of this origin: all a preflight can ask, as it carries no key."""
        return any(credential.may_come_from(origin) for credential in self.public.values())


def _forms(origin: str) -> tuple[str, ...]:
    """A declared origin as browsers write it; a bare host stands for both schemes."""
    origin = origin.lower().rstrip("/")
    return (origin,) if "://" in origin else (f"https://{origin}", f"http://{origin}")
