"""Avro readers are C: hostile bytes may end neither the process nor the memory, as streams would read them again."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.fuzz.avro import HOSTILE_NUMBERS, encode_long
from tests.processes import REPO

COUNT = 20_000
SECONDS_MAX = 240  # never reached but by a loop without end: it takes 5


@pytest.mark.parametrize("name", ["raw_pack", "envelope", "clean_pack", "direct"])
def test_a_process_outlives_twenty_thousand_hostile_messages(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.mutated", name, str(COUNT), "1"],
        cwd=REPO, capture_output=True, text=True, timeout=SECONDS_MAX, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"ended with {done.returncode}: {done.stderr[-1_500:]}"
    assert done.stdout == f"{COUNT} inputs\n"


def test_numbers_are_written_as_avro_has_them() -> None:
    assert [encode_long(number) for number in (0, -1, 1, -64, 64)] == [
        b"\0",
        b"\x01",
        b"\x02",
        b"\x7f",
        b"\x80\x01",
    ]
    assert encode_long(-(2**63)) in HOSTILE_NUMBERS
