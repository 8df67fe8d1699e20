"""Which visitor an event of a page belongs to, and what its answer does to the cookie. Pure rules over values.

There is a visitor only where the event's own choice grants measurement, however the site's default stands; a choice
that denies it ends the cookie (docs/consent.md).
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from urllib.parse import urlsplit

from ingest.reading.row import CONSENT, VISITOR_ID, Row, with_text
from ingest.visitors.cookies import (
    Visit,
    cookie_key,
    delete_cookie,
    derive_visitor,
    read_visit,
    set_cookie,
)
from runtime.config import Config
from schemas.consent import Basis, ConsentPolicy, Decision, decide
from schemas.identity import site_secret

SEED_LENGTH_MAX = 64  # characters


@dataclass(frozen=True, slots=True)
class VisitorRules:
    """One site's."""

    site: str
    policy: ConsentPolicy
    linked_domains: frozenset[str] = frozenset()
    secret: bytes = field(default=b"", repr=False)
    cookie_key: bytes = field(default=b"", repr=False)

    def read_visit(self, cookies: bytes, now_s: int) -> Visit | None:
        """The visit that this site's own cookie tells of, in a Cookie header."""
        return read_visit(cookies, self.site, self.cookie_key, now_s)


def visitor_rules(config: Config, identity_secret: bytes) -> Mapping[str, VisitorRules]:
    """The rules of every site, by its name. The secret is derived: it makes nothing but visitors and links."""
    rules = {}
    for name, site in config.sites.items():
        secret = hmac.digest(site_secret(identity_secret, name), b"visitors v1", "sha256")
        # What is unknown makes no visitor and ends none, so it does not matter whether the site drops it.
        policy = replace(site.consent_policy("unknown"), drop_unknown=False)
        hosts = frozenset(host.lower() for host in site.linked_domains)
        rules[name] = VisitorRules(name, policy, hosts, secret, cookie_key(secret))
    return rules


class Settled(NamedTuple):
    """The visitor, "" for none, and the Set-Cookie header of the answer, if any."""

    visitor: str = ""
    set_cookie: bytes | None = None


def decide_choice(rules: VisitorRules, signals: str) -> Decision:
    """What the person's own choice says; no header and no default of a site is a choice."""
    return decide(signals, False, rules.policy)


def settle(
    rules: VisitorRules,
    signals: str,
    cookies: bytes,
    now_ms: int,
    seed: str = "",
    arrived: Callable[[], Visit | None] = lambda: None,
) -> Settled:
    """Who it is.

    signals: of the event, as `consent.encode_signals` writes them; cookies: the Cookie header; seed: what the page made
    from chance, "" to make no new visitor; arrived: asked once for the visit that came over a link, with consent only.
    It names who has no cookie yet and never replaces one, as anybody may send a person a link.
    """
    decision = decide_choice(rules, signals)
    if decision.basis is None:
        return Settled("", delete_cookie(cookies, rules.site))
    if decision.basis is not Basis.CONSENTED:
        return Settled()
    now_s = now_ms // 1000
    came, kept = arrived(), rules.read_visit(cookies, now_s)
    visit = kept or came
    if visit is None:
        if not 0 < len(seed) <= SEED_LENGTH_MAX:
            return Settled()
        visit = Visit(derive_visitor(rules.secret, seed), now_s, now_s, decision.purposes)
    same = kept is not None and (kept.visitor, kept.purposes) == (visit.visitor, decision.purposes)
    if same or not seed:  # an endpoint that makes no visitors changes no cookie but to end it
        return Settled(visit.visitor)
    keep = Visit(visit.visitor, visit.since, now_s, decision.purposes, visit.is_signed)
    return Settled(visit.visitor, set_cookie(rules.site, keep, rules.cookie_key, now_s))


def resolve_visitor(
    rules: VisitorRules, row: Row, cookies: bytes, now_ms: int
) -> tuple[Row, list[tuple[bytes, bytes]]]:
    """A row of an endpoint that makes no visitors, with its cookie's visitor, and headers for the answer: a choice
    that denies measurement ends the cookie."""
    if row[VISITOR_ID] and decide_choice(rules, row[CONSENT]).basis is not None:  # 0.3 µs instead of 3
        return row, []
    settled = settle(rules, row[CONSENT], cookies, now_ms)
    headers = [(b"set-cookie", settled.set_cookie)] if settled.set_cookie else []
    return name_visitor(row, settled.visitor), headers


def name_visitor(row: Row, visitor: str) -> Row:
    """The row with this visitor, where it names none itself."""
    if not visitor or row[VISITOR_ID]:
        return row
    return with_text(row, VISITOR_ID, visitor)


def host_of(origin: bytes | None) -> str:
    """The host of an Origin header, in lower case and without its port; "" for none."""
    try:
        return urlsplit((origin or b"").decode("latin-1")).hostname or ""
    except ValueError:
        return ""


def cookies_of(headers: list[tuple[bytes, bytes]]) -> bytes:
    """The Cookie header; HTTP/2 may have taken it apart (RFC 9113, section 8.2.3)."""
    return b"; ".join(value for name, value in headers if name == b"cookie")
