"""What the steps need to know of a platform: each site's policy and secret, from fairpixel.toml and secrets.toml."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from typing import Any, TypeVar

from runtime.config import Config, Site
from schemas.consent import ConsentPolicy
from schemas.identity import site_secret
from streams.columns.memo import Memo

CODE_VERSION = "3"  # raise it when a step decides differently
DAY_MS = 86_400_000

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class SiteRules:
    """One site's policy, ready to be asked once an event."""

    public: ConsentPolicy
    secret: ConsentPolicy
    hash_secret: bytes = field(repr=False)
    contract_events: frozenset[str] = frozenset()
    query_keys: frozenset[str] = frozenset()
    excludes_bots: bool = False
    retention_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """All policies; `version` changes with any of them and is written into each clean pack."""

    version: str
    identity_secret: bytes = field(repr=False)
    sites: Mapping[str, SiteRules] = field(repr=False)
    _memos: dict[Any, Memo[Any, Any]] = field(default_factory=dict, repr=False, compare=False)

    def of(self, site: str) -> SiteRules:
        """The rules of a site; one that is no longer configured keeps nothing about people."""
        return self.sites.get(site) or SiteRules(
            _AGGREGATE_ONLY, _AGGREGATE_ONLY, site_secret(self.identity_secret, site)
        )

    def memo(self, rule: Callable[[Rules, K], V], size_max: int) -> Memo[K, V]:
        """What a rule that depends on these rules said before; gone with them."""
        memo = self._memos.get(rule)
        if memo is None:
            memo = self._memos[rule] = Memo(partial(rule, self), size_max)
        return memo


_AGGREGATE_ONLY = ConsentPolicy(child_directed=True)


def build_rules(config: Config, identity_secret: bytes) -> Rules:
    """Prepare the rules of a configuration."""
    text = config.model_dump_json(include={"sites"}, exclude_defaults=True)
    version = f"{CODE_VERSION}-{blake2b(text.encode(), digest_size=4).hexdigest()}"
    sites = {
        name: _site_rules(site, site_secret(identity_secret, name)) for name, site in config.sites.items()
    }
    return Rules(version, identity_secret, sites)


def _site_rules(site: Site, hash_secret: bytes) -> SiteRules:
    return SiteRules(
        public=site.consent_policy(site.default_consent),
        secret=site.consent_policy(site.server_consent),
        hash_secret=hash_secret,
        contract_events=frozenset(site.contract_events),
        query_keys=frozenset(site.query_keys),
        excludes_bots=site.bots == "exclude",
        retention_ms=None if site.retention_days is None else site.retention_days * DAY_MS,
    )
