"""GPP strings, sections of US states and `us_privacy`: they are read whole, and the US ones only object."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.signals.bits import Bits, Unreadable
from schemas.signals.gpp import judge_gpp, read_applying, read_gpp
from schemas.signals.purposes import ADVERTISING, Purpose, SignalPolicy, Statement
from schemas.signals.us import CORES, judge_us_privacy, judge_us_section, read_us_section
from tests.schemas.signals.strings import (
    AFTER_DISCLOSED,
    GPC_OFF,
    GPC_ON,
    disclosed,
    encode,
    fibonacci,
    gpp,
    number,
    tc_core,
    us_core,
)

POLICY, STRICT = SignalPolicy(), SignalPolicy(opt_out_denies_measurement=True)
GRANTING = f"{tc_core(range(1, 12), created=AFTER_DISCLOSED)}.{disclosed((2,))}"
REFUSING = tc_core(())
EVERY_SECTION = sorted(CORES)
# Where a 1 says that the person objects, or did not agree.
SAYS_NO = {
    "sale_opt_out", "sharing_opt_out", "targeted_advertising_opt_out", "known_child_consents", "personal_data_consents",
    "additional_processing_consent",
}  # fmt: skip
HEADER = number(3, 6) + number(1, 6)


def judged(text: str, applying: str = "", policy: SignalPolicy = POLICY) -> list[Statement]:
    return judge_gpp(text, read_applying(applying), policy)


@pytest.mark.parametrize("value", [1, 2, 3, 4, 7, 12, 27, 377, 900, 46_367, 65_535])
def test_fibonacci_numbers_come_back(value: int) -> None:
    bits = Bits(encode(fibonacci(value) + "1011"))
    assert bits.take_fibonacci() == value


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("DBABMA~a", [2]),
        ("DBACNYA~a~b", [2, 6]),
        (gpp({2: "a", 6: "b", 27: "c"}), [2, 6, 27]),
        # Ids 7 to 12 as one range.
        (
            encode(HEADER + number(1, 12) + "1" + fibonacci(7) + fibonacci(5)) + "~a" * 6,
            [7, 8, 9, 10, 11, 12],
        ),
    ],
)
def test_the_header_names_the_sections(text: str, ids: list[int]) -> None:
    assert list(read_gpp(text)) == ids


@pytest.mark.parametrize(
    "text",
    [
        "", "~", "DBABMA", "DBABMA~a~b", "DBACNYA~a", "DBAAAA", "CBABMA~a", "DCABMA~a", "DBABMA=~a", "DBA~a", "D",
        encode(HEADER + number(1, 12) + "1" + fibonacci(1) + fibonacci(60_000)) + "~a",
        encode(HEADER + number(1, 12) + "0" + "10" * 40),
    ],
)  # fmt: skip
def test_what_is_no_gpp_string_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable):
        read_gpp(text)


@pytest.mark.parametrize("section", EVERY_SECTION)
def test_each_us_section_objects_by_each_of_its_opt_outs_and_by_nothing_else(
    section: tuple[int, int],
) -> None:
    fields, (number_, version) = CORES[section], section
    assert judge_us_section(number_, us_core(fields, {}, version), POLICY) == Statement("us_no_objection")
    found = set()
    for name, _, count in fields[1:]:
        for place in range(count):
            for value in (1, 2):
                values = [0] * count
                values[place] = value
                statement = judge_us_section(number_, us_core(fields, {name: values}, version), POLICY)
                assert not statement.granted
                if statement.is_opt_out:
                    assert (statement.denied, value) == (ADVERTISING, 1)
                    found.add(name)
    assert found == {name for name, _, _ in fields} & SAYS_NO
    assert "sale_opt_out" in found


@pytest.mark.parametrize("section", EVERY_SECTION)
def test_a_us_section_that_is_cut_or_of_another_version_is_unreadable(section: tuple[int, int]) -> None:
    fields, (number_, version) = CORES[section], section
    whole = us_core(fields, {"sale_opt_out": [1]}, version)
    for place in range(len(whole)):
        with pytest.raises(Unreadable):
            read_us_section(number_, whole[:place])
    for wrong in (
        us_core(fields, {"sale_opt_out": [3]}, version),
        us_core(fields, {}, 9),
        f"{whole}.",
        f"{whole}.{whole}",
    ):
        with pytest.raises(Unreadable):
            read_us_section(number_, wrong)


def test_gpc_inside_a_section_is_an_opt_out() -> None:
    core = us_core(CORES[7, 1], {})
    assert judge_us_section(7, f"{core}.{GPC_OFF}", POLICY) == Statement("us_no_objection")
    assert judge_us_section(7, f"{core}.{GPC_ON}", POLICY).denied == ADVERTISING
    with pytest.raises(Unreadable):
        read_us_section(7, f"{core}.gA")


def test_a_site_may_take_an_opt_out_as_one_of_measurement_too() -> None:
    assert judge_us_privacy("1YYN", STRICT).denied == ADVERTISING | {Purpose.MEASUREMENT}


@pytest.mark.parametrize("text", ["1---", "1YNN", "1NN-", "1-NY", "1N--"])
def test_us_privacy_without_an_opt_out_objects_to_nothing(text: str) -> None:
    assert judge_us_privacy(text, POLICY) == Statement("us_no_objection")


@pytest.mark.parametrize("text", ["1YY", "1YYNN", "2YYN", "1yyn", "1YXN", "1 YN", "YYYY", "1YYN\n"])
def test_another_us_privacy_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable):
        judge_us_privacy(text, POLICY)


def rows(statements: list[Statement]) -> list[str]:
    return [one.row for one in statements]


def test_sections_speak_side_by_side() -> None:
    text = gpp({2: GRANTING, 6: "1YYN", 7: us_core(CORES[7, 1], {}), 99: "a"})
    assert rows(judged(text)) == ["tcf_grants", "us_opt_out", "us_no_objection", "gpp_section_unreadable"]


@pytest.mark.parametrize("applying", ["-1", "0", "6", "6,7"])
def test_a_section_that_does_not_apply_grants_nothing(applying: str) -> None:
    text = gpp({2: GRANTING, 6: "1---", 7: us_core(CORES[7, 1], {})})
    assert not any(one.granted for one in judged(text, applying))


def test_a_section_that_does_not_apply_still_denies() -> None:
    text = gpp({2: REFUSING, 7: us_core(CORES[7, 1], {"sale_opt_out": [1]})})
    assert Purpose.MEASUREMENT in judged(text, "7")[0].denied
    assert judged(text, "2")[1].denied == ADVERTISING


def test_a_section_that_applies_and_is_missing_is_unclear() -> None:
    assert rows(judged(gpp({6: "1---"}), "2,6")) == ["us_no_objection", "gpp_section_missing"]
    assert rows(judged(gpp({2: GRANTING}), "2")) == ["tcf_grants"]


@pytest.mark.parametrize("text", ["a", "2,", ",2", "2,,7", "1000", "--1", "2 7", "2" * 300])
def test_a_gpp_sid_that_is_no_list_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable):
        read_applying(text)


@given(
    st.dictionaries(
        st.integers(1, 40), st.text("ABab01-_.", min_size=1, max_size=30), min_size=1, max_size=5
    ),
    st.integers(0, 200),
)
def test_a_gpp_string_that_is_cut_never_has_more_sections(sections: dict[int, str], place: int) -> None:
    whole = gpp(sections)
    assert read_gpp(whole) == dict(sorted(sections.items()))
    try:
        cut = read_gpp(whole[:place])
    except Unreadable:
        return
    assert all(whole.split("~")[1:][index].startswith(text) for index, text in enumerate(cut.values()))
