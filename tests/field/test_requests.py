"""Requests and messages of clients that are not ours, on a real platform; a new case is a new line of a file here."""

from __future__ import annotations

import pytest

from tests.field.cases import Case, Outcome, check, read_cases


@pytest.mark.parametrize("case", list(read_cases()), ids=lambda case: case.id)
def test_a_case_comes_out_as_a_careful_engineer_wants(case: Case, outcomes: dict[str, Outcome]) -> None:
    check(case, outcomes[case.id])
