"""Whatever dies under load: afterwards each acknowledged id is one row or one counted drop, with no help by hand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random

import pytest

from tests.faults.faults import FAULTS, moment, seconds_until_a_hit_is_a_row
from tests.load import Load, check_books
from tests.platform import Platform


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """One platform for all faults: it must survive them one after the other, as in life."""
    one = Platform(tmp_path_factory.mktemp("faults"))
    one.up()
    yield one
    one.down()


@pytest.mark.timeout(420)
@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_is_missing_and_nothing_doubled_after(
    fault: str, fault_seed: int, platform: Platform, record_property: pytest.RecordProperty
) -> None:
    rng = Random(f"{fault_seed}/{fault}")
    print(f"seed {fault_seed}")
    with Load(platform, rng.getrandbits(48)) as load:
        load.await_answers()
        moment(load, rng)
        FAULTS[fault](platform, load, rng)
        recovery = seconds_until_a_hit_is_a_row(platform)
        moment(load, rng)
    platform.settle()
    check_books(platform, load.books, prefix=f"{load.seed}-")
    record_property("recovery_seconds", round(recovery, 1))
    print(
        f"{fault}: recovered in {recovery:.1f} s, {len(load.books.kept)} kept, {load.books.failures} retries"
    )


def test_no_store_and_no_log_holds_a_person(platform: Platform) -> None:
    with Load(platform, 1) as load:
        load.await_answers(60)
    platform.settle()
    people = load.books.people
    assert len(people) > 100
    looks_like_one = re.compile(rb"visitor-[0-9a-f]{16}|user-[0-9a-f]{16}|198\.1[89]\.\d{1,3}\.[1-9]\d{0,2}")
    assert all(looks_like_one.fullmatch(person.encode()) for person in people)
    # Of this load or of any before it; a truncated address ends in .0, whatever bytes follow.
    found = [name for name, text in platform.stores() if looks_like_one.search(text)]
    assert found == []
