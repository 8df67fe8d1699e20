"""A pack gives back the batch it was made of, says a value that all events share once, and lies about no length."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.avro_codec import PackError, Schema, encode, read_record
from schemas.drops import DeadReason
from schemas.event import EVENT_FIELDS, Event, EventBatch
from schemas.pack import (
    COUNT_MAX,
    RAW_PACK,
    RAW_PACK_V1,
    RAW_PACK_VERSIONS,
    PackLimits,
    decode_raw_pack,
    encode_raw_pack,
)
from tests.schemas.batches import batches, columns

VERSIONS = pytest.mark.parametrize("schema", RAW_PACK_VERSIONS.values(), ids=lambda schema: schema.name)
REFUSALS = ("refusal_minute", "refusal_site", "refusal_reason", "refusal_count")


def written(schema: Schema, count: int, **said: list[Any]) -> bytes:
    """A pack as anyone might write it: these arrays as they are, all others empty."""
    arrays: dict[str, Any] = {**{name: [] for name in (*EVENT_FIELDS, *REFUSALS)}, **said}
    return encode(schema, {"edge": "e", "count": count, **arrays})


def dead_reason(body: bytes) -> DeadReason:
    with pytest.raises(PackError) as caught:
        decode_raw_pack(body)
    return caught.value.reason


def arrays_of(body: bytes) -> dict[str, Any]:
    """What stands in a pack, unfilled."""
    return read_record(body, RAW_PACK)[0]


@given(batches())
def test_any_batch_comes_back_as_it_was(batch: EventBatch) -> None:
    assert decode_raw_pack(encode_raw_pack("e", columns(batch), len(batch))).batch == batch


@given(batches())
def test_packs_of_the_first_version_come_back_too(batch: EventBatch) -> None:
    assert decode_raw_pack(written(RAW_PACK_V1, len(batch), **columns(batch))).batch == batch


@given(batches())
def test_tuples_are_columns_as_well_as_lists(batch: EventBatch) -> None:
    made = columns(batch)
    tuples = {name: tuple(column) for name, column in made.items()}
    assert encode_raw_pack("e", tuples, len(batch)) == encode_raw_pack("e", made, len(batch))


def test_a_value_that_all_events_share_is_written_once_and_defaults_not_at_all() -> None:
    events = [
        Event(event_id=f"{n}", site="demo", received_at=7, title="" if n % 2 else "T") for n in range(3)
    ]
    arrays = arrays_of(encode_raw_pack("e", columns(EventBatch.from_events(events)), 3))
    assert {name: arrays[name] for name in EVENT_FIELDS if arrays[name]} == {
        "event_id": ["0", "1", "2"],
        "site": ["demo"],
        "received_at": [7],
        "title": ["T", "", "T"],
    }


@pytest.mark.parametrize("values", [["a", "b", "a"], ["", "b", ""], ["a", "", "a"], ["a", "a", "b"]])
def test_a_column_that_only_begins_and_ends_alike_is_written_in_full(values: list[str]) -> None:
    body = encode_raw_pack("e", {"event_id": ["1", "2", "3"], "title": values}, 3)
    assert arrays_of(body)["title"] == values
    assert decode_raw_pack(body).batch.title == values


@VERSIONS
@pytest.mark.parametrize(
    ("count", "site"), [(0, ["a"]), (1, ["a", "b"]), (2, ["a", "b", "c"]), (3, ["a", "b"]), (3, ["a"] * 4)]
)
def test_columns_of_different_length_are_refused(schema: Schema, count: int, site: list[str]) -> None:
    assert dead_reason(written(schema, count, site=site)) is DeadReason.UNEVEN_COLUMNS


def test_a_column_of_the_wrong_length_is_not_taken_for_one_value() -> None:
    body = encode_raw_pack("e", {"event_id": ["a", "b", "c"], "site": ["demo", "demo"]}, 3)
    assert dead_reason(body) is DeadReason.UNEVEN_COLUMNS


def test_one_item_for_many_events_is_a_value_today_and_was_an_error_in_the_first_version() -> None:
    assert decode_raw_pack(written(RAW_PACK, 3, site=["demo"])).batch.site == ["demo"] * 3
    assert dead_reason(written(RAW_PACK_V1, 3, site=["demo"])) is DeadReason.UNEVEN_COLUMNS


@VERSIONS
def test_one_event_has_one_item_in_each_version(schema: Schema) -> None:
    assert decode_raw_pack(written(schema, 1, site=["demo"])).batch.to_events() == [Event(site="demo")]


@VERSIONS
@pytest.mark.parametrize("count", [-(2**31), -1, COUNT_MAX + 1, 2_000_000_000])
def test_a_count_no_edge_writes_is_refused_before_it_takes_memory(schema: Schema, count: int) -> None:
    assert dead_reason(written(schema, count)) is DeadReason.UNREADABLE
    assert dead_reason(written(schema, count, site=["demo"], flags=[1])) is DeadReason.UNREADABLE


@VERSIONS
def test_the_largest_count_is_read_and_leaves_room_for_every_edge(schema: Schema) -> None:
    assert len(decode_raw_pack(written(schema, COUNT_MAX)).batch) == COUNT_MAX
    assert PackLimits().event_count_max < COUNT_MAX
    assert f"at most {COUNT_MAX}." in RAW_PACK.declared["doc"]


@VERSIONS
def test_each_version_has_the_fields_of_an_event_and_a_header_of_its_own(schema: Schema) -> None:
    assert [one["name"] for one in schema.declared["fields"]] == ["edge", "count", *REFUSALS, *EVENT_FIELDS]
    assert len(RAW_PACK_VERSIONS) == 2


@given(st.binary(max_size=200))
def test_any_opened_bytes_are_a_batch_or_a_pack_error(body: bytes) -> None:
    for candidate in (body, *(header + body for header in RAW_PACK_VERSIONS)):
        with suppress(PackError):
            decode_raw_pack(candidate)
