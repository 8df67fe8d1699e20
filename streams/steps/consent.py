"""Keeps what people agreed to, and what a contract with them needs; the table itself is in schemas.consent."""

from __future__ import annotations

from schemas.consent import Basis, Purpose, decide
from schemas.drops import DropReason
from schemas.event import CONSENT_CHOICE, SYSTEM, Flag
from streams.columns.batch import CleanBatch, replace
from streams.rules import Rules

CASES_MAX = 65_536  # 65,536 x about 500 bytes = 32 MB at the most; a site's visitors share few combinations
OPTED_OUT = int(Flag.GPC | Flag.DNT)

Case = tuple[str, str, str, str, int]  # site, name, trust, signals, flags


def basis_of(rules: Rules, case: Case) -> tuple[str, str]:
    """(basis, purposes by comma) of one event; "" as the basis: nothing but a count may remain."""
    site, name, trust, signals, flags = case
    site_rules = rules.of(site)
    policy = site_rules.secret if trust == "secret" else site_rules.public
    decision = decide(signals, bool(flags & OPTED_OUT), policy)
    if decision.basis is Basis.CONSENTED:
        return str(Basis.CONSENTED), ",".join(decision.purposes)
    if trust == "secret" and name in site_rules.contract_events and not policy.child_directed:
        return str(Basis.CONTRACT), str(Purpose.NECESSARY)
    if decision.basis is Basis.ANONYMOUS:
        return str(Basis.ANONYMOUS), ""
    return "", ""


def require_consent(rules: Rules, batch: CleanBatch) -> CleanBatch:
    """Fill `basis` and `purposes`, drop what has no basis, forget the signals."""
    cases = zip(batch.site, batch.name, batch.trust, batch.consent, batch.flags, strict=True)
    found = rules.memo(basis_of, CASES_MAX).of_all(cases)
    if SYSTEM in batch.kind:
        found = [_of_choice(rules, batch, i) if is_choice(batch, i) else one for i, one in enumerate(found)]
    basis = [one[0] for one in found]
    batch = replace(batch, basis=basis, purposes=[one[1] for one in found], consent=[])
    if all(basis):
        return batch
    return batch.drop([None if one else DropReason.NO_CONSENT for one in basis])


def is_choice(batch: CleanBatch, i: int) -> bool:
    """Whether an event is the record of a choice, which the edge's own endpoint alone makes."""
    return batch.kind[i] == SYSTEM and batch.name[i] == CONSENT_CHOICE


def _of_choice(rules: Rules, batch: CleanBatch, i: int) -> tuple[str, str]:
    """A choice is kept whatever it says: a controller must be able to show it (GDPR, articles 6(1)(c) and 7(1)). On a
    site for children it is kept without a visitor, like everything there."""
    if rules.of(batch.site[i]).public.child_directed:
        return str(Basis.ANONYMOUS), ""
    return str(Basis.CONTRACT), str(Purpose.NECESSARY)
