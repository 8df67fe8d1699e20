"""Consent: whatever stands in the signals, nothing is given that was not understood."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import orjson

from ingest.reading.fields import SIGNALS_LENGTH_MAX, parse_signals
from schemas.consent import (
    SIGNALS,
    Basis,
    ConsentPolicy,
    Measurement,
    Purpose,
    decide,
    list_signals,
)
from tests.fuzz.pieces import text_of

LENGTH_MAX = 12_000
POLICIES = tuple(
    ConsentPolicy(
        default=default, drop_unknown=drop_unknown, opt_out_denies_measurement=opt_out, child_directed=child
    )
    for default in Measurement
    for drop_unknown in (False, True)
    for opt_out in (False, True)
    for child in (False, True)
)
_MOST_GIVING = ConsentPolicy(default=Measurement.GRANTED)
SEEDS = (
    b'{"consent": "all"}', b'{"consent": " Measurement , marketing,"}', b'{"consent": {"measurement": "granted"}}',
    b'{"consent": {"measurement": true, "gpp": "x"}, "gdpr": 1}', b'{"consent": {"a,measurement": true}}',
    b'{"consent": ["all"]}', b'{"categories": {"a": 1}}', b'{"gdpr_consent": "CPX", "us_privacy": "1YNN"}',
    b"consent=all&gpp=x", b"consent=all&consent=none", b"consent=all;gpp=x", b"consent=%61ll",
    b"consent=measurement%2Cx",
    b'{"consent": "\\u0130,measurement"}', b'{"consent": ""}', b'{"gcs": false}', b"&&&=&consent",
    b'{"gdpr": 1, "gdpr_consent": "CQtAQoAQtAQoAEsAAAENB4FAAP_gAAAAAAYgAEEUAAAAAA.IAEEUA"}', b'{"gpp": "DBABMA~CP"}',
    b'{"gpp": "DBACNYA~COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA~1YYN", "gpp_sid": "2,6"}',
    b'{"gcd": "11t1t1t1t5"}',
    b"{\"consent\": \"ALL\", \"gdpr\": \"\\u0000\"}",
)  # fmt: skip
WORDS = (
    b'"consent"', b'"all"', b'"none"', b"measurement", b"necessary", b"marketing", b"personalisation", b"granted",
    b"denied", b"true", b"false", b'"gpp"', b'"gdpr"', b"&consent=", b"%2C", b";", b"&gpp=",
)  # fmt: skip


def fuzz(data: bytes) -> None:
    """JSON of the fields beside the signals; else the text of signals itself, as a pack holds it."""
    try:
        fields: Any = orjson.loads(data)
    except orjson.JSONDecodeError:
        for policy in _some(data):
            _check(text_of(data), policy)
        return
    if not isinstance(fields, dict):
        return
    signals = parse_signals(fields)
    assert len(signals) <= SIGNALS_LENGTH_MAX, "signals are bounded"
    statements = list_signals(signals, _MOST_GIVING)
    objects = any(one.is_unclear or Purpose.MEASUREMENT in one.denied for one in statements)
    grants = any(Purpose.MEASUREMENT in one.granted for one in statements)
    present = fields.get("consent") not in (None, "", {})
    for policy in _some(data):
        basis = _check(signals, policy)
        if objects:
            assert basis is not Basis.CONSENTED, "beside a signal nobody understands nothing is granted"
        elif not grants:
            assert basis is not Basis.CONSENTED or policy.default is Measurement.GRANTED
        if not (present or any(fields.get(name) for name in SIGNALS)):
            assert basis is not Basis.CONSENTED or policy.default is Measurement.GRANTED


def _some(data: bytes) -> tuple[ConsentPolicy, ...]:
    """The one that gives most, and one other that the input chooses: all 24 would take ten times as long."""
    return _MOST_GIVING, POLICIES[crc32(data) % len(POLICIES)]


def _check(signals: str, policy: ConsentPolicy) -> Basis | None:
    decision, opted_out = decide(signals, False, policy), decide(signals, True, policy)
    if decision.basis is Basis.CONSENTED:
        assert Purpose.MEASUREMENT in decision.purposes
        assert not policy.child_directed
    else:
        assert not decision.purposes
        assert opted_out.basis is not Basis.CONSENTED, "to opt out gives nothing"
    return decision.basis
