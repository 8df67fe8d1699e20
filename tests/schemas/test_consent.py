"""The consent table: one row per combination, and the law that no signal ever gives more."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.consent import (
    UNDECODED_SIGNALS,
    Basis,
    ConsentPolicy,
    Decision,
    Measurement,
    Purpose,
    _decide_once,
    decide,
    encode_signals,
)

UNKNOWN, GRANTED, DENIED = Measurement.UNKNOWN, Measurement.GRANTED, Measurement.DENIED
ALL = tuple(Purpose)
DEFAULTS = (Purpose.NECESSARY, Purpose.MEASUREMENT)
KEPT = {None: 0, Basis.ANONYMOUS: 1, Basis.CONSENTED: 2}


@pytest.mark.parametrize(
    ("consent", "opted_out", "default", "basis", "purposes", "row"),
    [
        ("all", False, UNKNOWN, Basis.CONSENTED, ALL, "choice_grants"),
        ("all", True, DENIED, Basis.CONSENTED, ALL, "choice_grants"),
        ("measurement", False, UNKNOWN, Basis.CONSENTED, (Purpose.MEASUREMENT,), "choice_grants"),
        (
            "Measurement, marketing",
            False,
            DENIED,
            Basis.CONSENTED,
            (Purpose.MEASUREMENT, Purpose.MARKETING),
            "choice_grants",
        ),
        ("none", False, GRANTED, None, (), "choice_denies"),
        ("necessary", False, GRANTED, None, (), "choice_denies"),
        ("marketing", False, GRANTED, None, (), "choice_denies"),
        ("measurement,somethingelse", False, GRANTED, Basis.ANONYMOUS, (), "signal_not_understood"),
        ("yes", False, GRANTED, Basis.ANONYMOUS, (), "signal_not_understood"),
        ("", False, GRANTED, Basis.CONSENTED, DEFAULTS, "default_grants"),
        ("", False, UNKNOWN, Basis.ANONYMOUS, (), "default_unknown"),
        ("", False, DENIED, None, (), "default_denies"),
        ("", True, GRANTED, Basis.ANONYMOUS, (), "opt_out"),
        ("", True, UNKNOWN, Basis.ANONYMOUS, (), "opt_out"),
        ("", True, DENIED, None, (), "default_denies"),
    ],
)
def test_each_row_of_the_table_decides_as_published(
    consent: str,
    opted_out: bool,
    default: Measurement,
    basis: Basis | None,
    purposes: tuple[Purpose, ...],
    row: str,
) -> None:
    signals = encode_signals({"consent": consent})
    assert decide(signals, opted_out, ConsentPolicy(default=default)) == Decision(basis, purposes, row)


@pytest.mark.parametrize("signal", UNDECODED_SIGNALS)
def test_a_signal_nobody_decodes_yet_takes_the_identifiers_away(signal: str) -> None:
    signals = encode_signals({"consent": "all", signal: "1"})
    assert decide(signals, False, ConsentPolicy(default=GRANTED)).basis is Basis.ANONYMOUS


def test_an_unclear_signal_does_not_lift_a_default_of_denied() -> None:
    assert decide("gpp=x", False, ConsentPolicy(default=DENIED)).basis is None
    assert decide("gpp=x", True, ConsentPolicy(opt_out_denies_measurement=True)).basis is None


def test_only_short_texts_are_remembered() -> None:
    before = _decide_once.cache_info().currsize
    for number in range(100):
        decide(f"gpp={number}{'x' * 1_000}", False, ConsentPolicy())
    assert _decide_once.cache_info().currsize == before


def test_a_site_may_drop_what_is_unknown() -> None:
    assert decide("", False, ConsentPolicy(drop_unknown=True)).basis is None


def test_nothing_on_an_event_lifts_child_directed() -> None:
    policy = ConsentPolicy(default=GRANTED, child_directed=True, drop_unknown=True)
    assert decide("consent=all", False, policy).basis is Basis.ANONYMOUS


choices = st.sampled_from(
    ["", "all", "none", "measurement", "measurement,marketing", "necessary", "nonsense"]
)
policies = st.builds(
    ConsentPolicy,
    default=st.sampled_from(Measurement),
    drop_unknown=st.booleans(),
    opt_out_denies_measurement=st.booleans(),
    child_directed=st.booleans(),
)


@given(choices, st.sets(st.sampled_from(UNDECODED_SIGNALS)), policies)
def test_more_signals_never_keep_more(choice: str, others: set[str], policy: ConsentPolicy) -> None:
    alone = decide(encode_signals({"consent": choice}), False, policy)
    for opted_out, extra in itertools.product((False, True), (set(), others)):
        signals = encode_signals({"consent": choice} | dict.fromkeys(extra, "x"))
        more = decide(signals, opted_out, policy)
        assert KEPT[more.basis] <= KEPT[alone.basis]
        assert set(more.purposes) <= set(alone.purposes)


@given(st.text(), policies)
def test_any_text_is_decided(text: str, policy: ConsentPolicy) -> None:
    decision = decide(text, False, policy)
    assert (decision.basis is Basis.CONSENTED) == bool(decision.purposes)


@pytest.mark.parametrize(
    ("signals", "row"),
    [
        ("consent=none&consent=all", "choice_grants"),  # of several the last
        ("%63onsent=all", "choice_grants"),
        ("con+sent=all", "signal_not_understood"),
        ("consent", "default_grants"),
        ("consent=&&", "default_grants"),
        ("gpp", "signal_not_understood"),
        ("consent=%61ll&gpp=" + "%41" * 8_000, "signal_not_understood"),
        ("consent=none&gpp=" + "%41" * 8_000, "choice_denies"),
        ("consent=" + "measurement," * 2_000, "choice_grants"),
        ("consent=" + "measurement," * 2_000 + "x", "signal_not_understood"),
    ],
)
def test_a_choice_is_found_among_other_signals_however_it_is_escaped(signals: str, row: str) -> None:
    policy = ConsentPolicy(default=Measurement.GRANTED)
    assert decide(signals, False, policy).row == row
