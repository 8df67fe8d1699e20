"""Nothing of a person is left in any column, drop, sighting, log or metric, wherever and however it was written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import generate_latest

from schemas.clean_pack import decode_clean_pack
from streams.measures import pack_decided, run_steps
from tests.field.hidden import ENCODINGS, PLACES, SECRETS, Hidden, found_again, hide
from tests.streams.make import decided, sealed

# The same 500 in every run of the tests; LEAK_HITS=20000 tries so many others, in two to three minutes.
HITS = int(os.environ.get("LEAK_HITS", "0"))
SITE = 'query_keys = ["page", "session", "t_token", "verify", "utm_source", "utm_term"]'

Case = tuple[str, str, str, int]
cases = st.tuples(
    st.sampled_from(sorted(SECRETS)), st.sampled_from(sorted(ENCODINGS)), st.sampled_from(sorted(PLACES)),
    st.integers(0, 2**32),
)  # fmt: skip


def leaks(some: Sequence[Case]) -> list[Case]:
    """Those of the cases whose secret somebody could read in what is kept or said of them."""
    hidden: list[Hidden] = []
    texts: list[str] = []
    for one in some:
        secret, events = hide(*one)
        hidden.append(secret)
        pack = decided(sealed(events), site=SITE, run=run_steps)
        pack_decided(pack.pack, 0.001)
        clean = decode_clean_pack(pack.value)
        assert clean.count + len(clean.drops) == len(events)
        texts.append(repr(asdict(clean)).replace("\\\\", "\\"))
    return [one for one, secret, text in zip(some, hidden, texts, strict=True) if found_again(secret, text)]


@settings(max_examples=HITS or 500, derandomize=not HITS)
@given(cases)
def test_nothing_of_a_person_is_left(one: Case) -> None:
    assert leaks([one]) == []


def test_neither_logs_nor_metrics_hold_any_of_it(capfd: pytest.CaptureFixture[str]) -> None:
    some = [(*names, 7) for names in product(SECRETS, ("plain", "percent"), PLACES)]
    assert leaks(some) == []
    printed = "".join(capfd.readouterr()) + generate_latest().decode()
    assert [one for one in some if found_again(hide(*one)[0], printed)] == []
