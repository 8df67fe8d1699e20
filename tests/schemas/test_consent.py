"""The consent table: one row per combination, and the law that no signal ever gives more."""

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.consent import (
    OTHER_SIGNALS,
    Basis,
    ConsentPolicy,
    Decision,
    Measurement,
    Purpose,
    _decide,
    decide,
    encode_signals,
)
from schemas.signals.memory import Memory
from schemas.signals.purposes import ADVERTISING
from schemas.signals.rows import ROWS
from tests.schemas.signals.strings import AFTER_DISCLOSED, gpp, tc_core

SOURCES = [
    *Path("schemas/signals").glob("[!r]*.py"),
    Path("schemas/signals/reading.py"),
    Path("schemas/consent.py"),
]
GRANTING = tc_core(range(1, 12))
REFUSING = tc_core((2, 3))
SINCE_MARCH = tc_core(range(1, 12), created=AFTER_DISCLOSED)
UNKNOWN, GRANTED, DENIED = Measurement.UNKNOWN, Measurement.GRANTED, Measurement.DENIED
ALL = tuple(Purpose)
DEFAULTS = (Purpose.NECESSARY, Purpose.MEASUREMENT)
KEPT = {None: 0, Basis.ANONYMOUS: 1, Basis.CONSENTED: 2}


@pytest.mark.parametrize(
    ("consent", "opted_out", "default", "basis", "purposes", "row"),
    [
        ("all", False, UNKNOWN, Basis.CONSENTED, ALL, "choice_grants"),
        ("all", True, DENIED, Basis.CONSENTED, DEFAULTS, "choice_grants"),
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


@pytest.mark.parametrize("signal", OTHER_SIGNALS)
def test_a_signal_that_nobody_can_read_takes_the_identifiers_away(signal: str) -> None:
    signals = encode_signals({"consent": "all", signal: "x"})
    assert decide(signals, False, ConsentPolicy(default=GRANTED)).basis is Basis.ANONYMOUS


def test_an_unclear_signal_does_not_lift_a_default_of_denied() -> None:
    assert decide("gpp=x", False, ConsentPolicy(default=DENIED)).basis is None
    assert decide("gpp=x", True, ConsentPolicy(opt_out_denies_measurement=True)).basis is None


def test_what_is_remembered_is_bounded_by_its_length() -> None:
    memory: Memory[str] = Memory(100_000)
    for number in range(1_000):
        memory.put(f"{number}{'x' * 1_000}", "y", 1_000)
        assert memory.get("0" + "x" * 1_000) == "y", "what is asked for again and again stays"
    assert len(memory) < 100
    assert memory.get("1" + "x" * 1_000) is None


def test_a_long_text_is_decided_like_a_short_one_however_often_it_comes() -> None:
    whole = encode_signals({"consent": "all", "gdpr_consent": f"{REFUSING}.{'A' * 300}"})
    for opted_out, default in itertools.product((False, True), Measurement):
        policy = ConsentPolicy(default=default)
        first = decide(whole, opted_out, policy)
        assert decide(whole, opted_out, policy) == first == _decide(whole, opted_out, policy)


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


@given(choices, st.sets(st.sampled_from(OTHER_SIGNALS)), policies)
def test_more_signals_never_keep_more(choice: str, others: set[str], policy: ConsentPolicy) -> None:
    alone = decide(encode_signals({"consent": choice}), False, policy)
    for opted_out, extra in itertools.product((False, True), (set(), others)):
        signals = encode_signals({"consent": choice} | dict.fromkeys(extra, "x"))
        more = decide(signals, opted_out, policy)
        assert KEPT[more.basis] <= KEPT[alone.basis]
        assert set(more.purposes) <= set(alone.purposes)


# Of each signal its states: absent, granting (where it can), denying or objecting, and unclear.
STATES: dict[str, tuple[str, ...]] = {
    "consent": ("", "all", "none", "nonsense"),
    "gdpr": ("", "1", "0", "x"),
    "gdpr_consent": ("", GRANTING, REFUSING, GRANTING[:-3], SINCE_MARCH),
    "gpp": ("", gpp({2: GRANTING}), gpp({2: REFUSING, 6: "1YYN"}), "DBABMA"),
    "gpp_sid": ("", "2", "-1", "x"),
    "us_privacy": ("", "1YNN", "1YYN", "1"),
    "gcs": ("", "G111", "G100", "G1--"),
    "categories": ("", "x"),
}
DENYING = {
    "consent": ("none",),
    "gdpr_consent": (REFUSING, SINCE_MARCH),
    "gpp": (STATES["gpp"][2],),
    "gcs": ("G100",),
}
GRANTS = {"consent": ("all",), "gdpr_consent": (GRANTING,), "gpp": (STATES["gpp"][1],), "gcs": ("G111",)}
UNCLEAR = {
    "consent": ("nonsense",), "gdpr": ("x",), "gdpr_consent": (GRANTING[:-3],), "gpp": ("DBABMA",), "gpp_sid": ("x",),
    "us_privacy": ("1",), "gcs": ("G1--",), "categories": ("x",),
}  # fmt: skip


def test_every_combination_of_states_is_decided_by_the_order_of_the_table() -> None:
    seen = set()
    for values in itertools.product(*STATES.values()):
        event = dict(zip(STATES, values, strict=True))
        signals = encode_signals(event)
        decision = _decide(signals, False, ConsentPolicy(default=GRANTED))
        seen.add(decision.row)
        denied = any(event[name] in DENYING.get(name, ()) for name in event)
        unclear = any(event[name] in UNCLEAR[name] for name in UNCLEAR)
        grants = any(event[name] in GRANTS.get(name, ()) for name in event)
        if denied:
            assert decision.basis is None, event
        elif unclear:
            assert decision.basis is Basis.ANONYMOUS, event
        elif decision.basis is Basis.CONSENTED and not grants:
            assert decision.row == "default_grants", event
        if "1YYN" in values:
            assert not set(decision.purposes) & ADVERTISING, event
        assert decision.row in ROWS
    assert seen >= {
        "choice_denies",
        "tcf_denies",
        "tcf_without_disclosed_vendors",
        "tcf_grants",
        "gcs_grants",
        "opt_out",
    }


@given(
    st.fixed_dictionaries({name: st.sampled_from(states) for name, states in STATES.items()}),
    st.sampled_from([*STATES, "gcd"]),
    st.text(min_size=1, max_size=40),
    policies,
)
def test_noise_in_any_signal_never_adds_a_purpose(
    event: dict[str, str], name: str, noise: str, policy: ConsentPolicy
) -> None:
    if noise in STATES.get(name, ()):
        return
    before = decide(encode_signals(event), False, policy)
    after = decide(encode_signals(event | {name: event.get(name, "") + noise}), False, policy)
    without = decide(encode_signals(event | {name: ""}), False, policy)
    # With the noise a signal says at most what it said, and nothing is granted that the others do not grant.
    assert set(after.purposes) <= set(before.purposes) | set(without.purposes)
    assert not (set(after.purposes) - set(before.purposes)) or name == "gpp_sid"


def test_every_row_has_a_sentence_and_no_other_has_one() -> None:
    made = {row for path in SOURCES for row in re.findall(r'"([a-z]+(?:_[a-z]+)+)"', path.read_text())}
    made |= {f"{name}_unreadable" for name in ("gpp", "gcs", "gcd", "us_privacy", "tc_string")}
    made |= {f"{name}_{how}" for name in ("gcs", "gcd") for how in ("grants", "denies")}
    made |= {row.replace("tcf_", "canada_") for row in made if row.startswith("tcf_")}
    assert set(ROWS) - made == set()


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
        ("consent=%61ll&gpp=" + "%41" * 8_000, "gpp_unreadable"),
        ("consent=none&gpp=" + "%41" * 8_000, "choice_denies"),
        ("consent=" + "measurement," * 2_000, "choice_grants"),
        ("consent=" + "measurement," * 2_000 + "x", "signal_not_understood"),
    ],
)
def test_a_choice_is_found_among_other_signals_however_it_is_escaped(signals: str, row: str) -> None:
    policy = ConsentPolicy(default=Measurement.GRANTED)
    assert decide(signals, False, policy).row == row
