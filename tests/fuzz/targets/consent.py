"""Consent: whatever stands in the signals, nothing is given that was not understood."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import orjson

from ingest.reading.fields import SIGNALS_LENGTH_MAX, parse_signals
from schemas.consent import SIGNALS, UNDECODED_SIGNALS, Basis, ConsentPolicy, Measurement, Purpose, decide
from tests.fuzz.pieces import text_of

LENGTH_MAX = 12_000
POLICIES = tuple(
    ConsentPolicy(default, drop_unknown, opt_out, child)
    for default in Measurement
    for drop_unknown in (False, True)
    for opt_out in (False, True)
    for child in (False, True)
)
_MOST_GIVING = ConsentPolicy(Measurement.GRANTED)
SEEDS = (
    b'{"consent": "all"}', b'{"consent": " Measurement , marketing,"}', b'{"consent": {"measurement": "granted"}}',
    b'{"consent": {"measurement": true, "gpp": "x"}, "gdpr": 1}', b'{"consent": {"a,measurement": true}}',
    b'{"consent": ["all"]}', b'{"categories": {"a": 1}}', b'{"gdpr_consent": "CPX", "us_privacy": "1YNN"}',
    b"consent=all&gpp=x", b"consent=all&consent=none", b"consent=all;gpp=x", b"consent=%61ll",
    b"consent=measurement%2Cx",
    b'{"consent": "\\u0130,measurement"}', b'{"consent": ""}', b'{"gcs": false}', b"&&&=&consent",
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
    undecoded = any(fields.get(name) not in (None, "") for name in UNDECODED_SIGNALS)
    present = fields.get("consent") not in (None, "", {})
    for policy in _some(data):
        basis = _check(signals, policy)
        if undecoded:
            assert basis is not Basis.CONSENTED, "a signal nobody understands gives nothing"
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
