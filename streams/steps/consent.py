"""Keeps what people agreed to, and what a contract with them needs; the table itself is in schemas.consent."""

from __future__ import annotations

from typing import Any, NamedTuple

from schemas.consent import Basis, Purpose, decide
from schemas.drops import DropReason
from schemas.event import CONSENT_CHOICE, SYSTEM, Flag
from schemas.signals.tcf import WITHOUT_DISCLOSED_VENDORS
from streams.columns.batch import CleanBatch, replace
from streams.rules import Rules

CASES_MAX = 65_536  # 65,536 x about 500 bytes = 32 MB at the most; a site's visitors share few combinations
OPTED_OUT = int(Flag.GPC | Flag.DNT)
MISPLACED = int(Flag.CONSENT_MISPLACED)
NO_EVENTS: tuple[list[Any], ...] = ([], [], [], [])

Case = tuple[str, str, str, str, int]  # site, name, trust, signals, flags


class Found(NamedTuple):
    """What is decided of one event."""

    basis: str  # "": nothing but a count may remain
    purposes: str = ""  # by comma
    drop: DropReason | None = None
    flags: int = 0  # to be added


def basis_of(rules: Rules, case: Case) -> Found:
    """The decision on one event."""
    site, name, trust, signals, flags = case
    site_rules = rules.of(site)
    policy = site_rules.secret if trust == "secret" else site_rules.public
    decision = decide(signals, bool(flags & OPTED_OUT), policy)
    found_flags = MISPLACED if decision.is_misplaced else 0
    if decision.basis is Basis.CONSENTED:
        return Found(str(Basis.CONSENTED), ",".join(decision.purposes), None, found_flags)
    if trust == "secret" and name in site_rules.contract_events and not policy.child_directed:
        return Found(str(Basis.CONTRACT), str(Purpose.NECESSARY), None, found_flags)
    if decision.basis is Basis.ANONYMOUS:
        return Found(str(Basis.ANONYMOUS), "", None, found_flags)
    is_undisclosed = decision.row == WITHOUT_DISCLOSED_VENDORS
    return Found("", "", DropReason.NO_DISCLOSED_VENDORS if is_undisclosed else DropReason.NO_CONSENT)


def require_consent(rules: Rules, batch: CleanBatch) -> CleanBatch:
    """Fill `basis` and `purposes`, drop what has no basis, forget the signals."""
    cases = zip(batch.site, batch.name, batch.trust, batch.consent, batch.flags, strict=True)
    found = rules.memo(basis_of, CASES_MAX).of_all(cases)
    if SYSTEM in batch.kind:
        found = [_of_choice(rules, batch, i) if is_choice(batch, i) else one for i, one in enumerate(found)]
    basis, purposes, drops, flags = (
        (list(column) for column in zip(*found, strict=True)) if found else NO_EVENTS
    )
    if any(flags):
        batch = replace(batch, flags=[old | new for old, new in zip(batch.flags, flags, strict=True)])
    batch = replace(batch, basis=basis, purposes=purposes, consent=[])
    return batch.drop(drops) if any(drops) else batch


def is_choice(batch: CleanBatch, i: int) -> bool:
    """Whether an event is the record of a choice, which the edge's own endpoint alone makes."""
    return batch.kind[i] == SYSTEM and batch.name[i] == CONSENT_CHOICE


def _of_choice(rules: Rules, batch: CleanBatch, i: int) -> Found:
    """A choice is kept whatever it says: a controller must be able to show it (GDPR, articles 6(1)(c) and 7(1)). On a
    site for children it is kept without a visitor, like everything there."""
    if rules.of(batch.site[i]).public.child_directed:
        return Found(str(Basis.ANONYMOUS))
    return Found(str(Basis.CONTRACT), str(Purpose.NECESSARY))
