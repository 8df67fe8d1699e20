"""A pack gives back the batch it was made of, says a value that all events share once, and lies about no length."""

import tracemalloc
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
    RAW_PACK_V2,
    RAW_PACK_VERSIONS,
    PackLimits,
    decode_raw_pack,
    encode_raw_pack,
)
from tests.schemas.batches import batches, columns

OLDER = pytest.mark.parametrize("schema", [RAW_PACK_V1, RAW_PACK_V2], ids=lambda schema: schema.name)
VERSIONS = pytest.mark.parametrize("schema", RAW_PACK_VERSIONS.values(), ids=lambda schema: schema.name)
REFUSALS = ("refusal_minute", "refusal_site", "refusal_reason", "refusal_count")
TEXTS = [name for name, kind in Event.__annotations__.items() if kind == "str"]
NUMBERS = [name for name in EVENT_FIELDS if name not in TEXTS]
# Values that hold what separates them: the usual separator, those that come after it, and their neighbours.
awkward = st.text(st.sampled_from("\0\1\2\x1f\x20\ue000a🎉"), max_size=4)


def written(schema: Schema, count: int, **said: list[Any]) -> bytes:
    """A pack as anyone might write it: these columns as they are, all others empty."""
    record: dict[str, Any] = {**{name: [] for name in (*EVENT_FIELDS, *REFUSALS)}, **said}
    if schema is RAW_PACK:
        record |= {name: "\0".join(record[name]) for name in TEXTS}
    return encode(schema, {"edge": "e", "count": count, **record})


def written_today(count: int, **said: str) -> bytes:
    """A pack of the newest version with these texts as they are, everything else empty."""
    return encode(
        RAW_PACK, {"edge": "e", "count": count, **{name: [] for name in (*NUMBERS, *REFUSALS)}, **said}
    )


def dead_reason(body: bytes) -> DeadReason:
    with pytest.raises(PackError) as caught:
        decode_raw_pack(body)
    return caught.value.reason


def record_of(body: bytes) -> dict[str, Any]:
    """What stands in a pack, neither split nor filled."""
    return read_record(body, RAW_PACK)[0]


@given(batches())
def test_any_batch_comes_back_as_it_was(batch: EventBatch) -> None:
    assert decode_raw_pack(encode_raw_pack("e", columns(batch), len(batch))).batch == batch


@given(st.data(), st.integers(0, 6))
def test_texts_come_back_whatever_controls_they_hold(data: st.DataObject, count: int) -> None:
    made = {
        name: data.draw(
            st.lists(awkward, min_size=count, max_size=count) | awkward.map(lambda one: [one] * count)
        )
        for name in ("event_id", "title", "url")
    }
    batch = decode_raw_pack(encode_raw_pack("e", made, count)).batch
    assert {name: getattr(batch, name) for name in made} == made


@OLDER
@given(batches())
def test_packs_of_older_versions_come_back_too(schema: Schema, batch: EventBatch) -> None:
    assert decode_raw_pack(written(schema, len(batch), **columns(batch))).batch == batch


@given(batches())
def test_tuples_are_columns_as_well_as_lists(batch: EventBatch) -> None:
    made = columns(batch)
    tuples = {name: tuple(column) for name, column in made.items()}
    assert encode_raw_pack("e", tuples, len(batch)) == encode_raw_pack("e", made, len(batch))


def test_texts_are_joined_and_a_value_that_all_share_is_written_once_and_defaults_not_at_all() -> None:
    events = [
        Event(event_id=f"{n}", site="demo", received_at=7, title="" if n % 2 else "T") for n in range(3)
    ]
    record = record_of(encode_raw_pack("e", columns(EventBatch.from_events(events)), 3))
    assert record["separator"] == "\0"
    assert {name: record[name] for name in EVENT_FIELDS if record[name]} == {
        "event_id": "0\x001\x002",
        "site": "demo",
        "received_at": [7],
        "title": "T\0\0T",
    }


@pytest.mark.parametrize("values", [["a", "b", "a"], ["", "b", ""], ["a", "", "a"], ["a", "a", "b"]])
def test_a_column_that_only_begins_and_ends_alike_is_written_in_full(values: list[str]) -> None:
    body = encode_raw_pack("e", {"event_id": ["1", "2", "3"], "title": values}, 3)
    assert record_of(body)["title"] == "\0".join(values)
    assert decode_raw_pack(body).batch.title == values


CONTROLS = "".join(map(chr, range(0x20)))


@pytest.mark.parametrize(
    ("titles", "separator"),
    [
        (["a", "b", "c"], "\0"),
        (["a\0", "b", "c"], "\1"),
        (["", "", "\0"], "\1"),
        (["a\1", "\0", "\1\0"], "\2"),
        (["a\0b"] * 3, "\1"),
        (["\0"], "\1"),
        (["\1"], "\0"),
        ([CONTROLS, "b"], "\ue000"),
        ([CONTROLS, "\ue000\ue001"], "\ue002"),
        ([CONTROLS + "".join(map(chr, range(0xE000, 0x10000))), "b"], "\U00010000"),
    ],
)
def test_the_separator_is_a_character_that_stands_in_no_value(titles: list[str], separator: str) -> None:
    body = encode_raw_pack("e", {"title": titles, "url": ["u"] * len(titles)}, len(titles))
    assert record_of(body)["separator"] == separator
    batch = decode_raw_pack(body).batch
    assert (batch.title, batch.url) == (titles, ["u"] * len(titles))


@pytest.mark.parametrize(
    ("count", "title", "values"),
    [
        (0, "", []),
        (1, "", [""]),
        (1, "a", ["a"]),
        (2, "a", ["a", "a"]),
        (2, "\0", ["", ""]),
        (3, "\0\0", ["", "", ""]),
        (3, "\0a\0", ["", "a", ""]),
    ],
)
def test_a_text_is_split_into_as_many_values_as_there_are_events(
    count: int, title: str, values: list[str]
) -> None:
    assert decode_raw_pack(written_today(count, title=title)).batch.title == values


@pytest.mark.parametrize(
    ("count", "title"),
    [(0, "a"), (0, "\0"), (1, "\0"), (1, "a\0b"), (2, "a\0b\0c"), (3, "a\0b"), (3, "\0" * 1_000_000)],
)
def test_a_text_of_more_or_fewer_values_is_refused(count: int, title: str) -> None:
    assert dead_reason(written_today(count, title=title)) is DeadReason.UNEVEN_COLUMNS


@pytest.mark.parametrize("separator", ["", "ab", "\0\0"])
def test_a_separator_is_one_character(separator: str) -> None:
    assert dead_reason(written_today(2, title="abab", separator=separator)) is DeadReason.UNREADABLE


def test_a_text_with_few_bytes_and_many_values_takes_no_more_memory_than_the_largest_pack() -> None:
    body = written_today(COUNT_MAX, title="ab\0" * 1_000_000)  # in full 8 MB of pointers, and 50 of strings
    tracemalloc.start()
    try:
        assert dead_reason(body) is DeadReason.UNEVEN_COLUMNS
        assert (
            tracemalloc.get_traced_memory()[1] < 20_000_000
        )  # the text, and all of it once more as the last value
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("wrong", [1, None, b"b", ["b"]])
@pytest.mark.parametrize("name", ["event_id", "title"])
def test_no_pack_is_made_of_a_text_that_is_none(name: str, wrong: object) -> None:
    with pytest.raises(TypeError):
        encode_raw_pack("e", {name: ["a", wrong]}, 2)
    with pytest.raises(TypeError):
        encode_raw_pack("e", {name: [wrong, "a"]}, 2)


@pytest.mark.parametrize("titles", [["\ud800"], ["a", "b\ud800"], ["\ud83c", "\udf89"], ["\0", "\ud800"]])
def test_no_pack_is_made_of_half_a_character(titles: list[str]) -> None:
    with pytest.raises(UnicodeEncodeError):
        encode_raw_pack("e", {"title": titles}, len(titles))


@VERSIONS
@pytest.mark.parametrize(
    ("count", "site"), [(0, ["a"]), (1, ["a", "b"]), (2, ["a", "b", "c"]), (3, ["a", "b"]), (3, ["a"] * 4)]
)
def test_columns_of_different_length_are_refused(schema: Schema, count: int, site: list[str]) -> None:
    assert dead_reason(written(schema, count, site=site)) is DeadReason.UNEVEN_COLUMNS


@pytest.mark.parametrize("site", [["demo", "demo"], ["de\0mo", "demo"], ["", ""], ["a", "b", "c", "d"]])
def test_a_column_of_the_wrong_length_is_not_taken_for_another(site: list[str]) -> None:
    body = encode_raw_pack("e", {"event_id": ["a", "b", "c"], "site": site}, 3)
    assert dead_reason(body) is DeadReason.UNEVEN_COLUMNS


def test_one_item_for_many_events_is_a_value_today_and_was_an_error_in_the_first_version() -> None:
    for schema in (RAW_PACK_V2, RAW_PACK):
        batch = decode_raw_pack(written(schema, 3, site=["demo"], flags=[1])).batch
        assert (batch.site, batch.flags) == (["demo"] * 3, [1] * 3)
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
    own = ["separator"] if schema is RAW_PACK else []
    names = [one["name"] for one in schema.declared["fields"]]
    assert names == ["edge", "count", *own, *REFUSALS, *EVENT_FIELDS]
    assert len(RAW_PACK_VERSIONS) == 3


def test_the_schema_says_which_columns_are_texts_and_what_a_missing_one_means() -> None:
    assert {one["name"] for one in RAW_PACK.declared["fields"] if one.get("default") == ""} == set(TEXTS)
    assert record_of(written_today(0))["separator"] == "\0"


@given(st.binary(max_size=200))
def test_any_opened_bytes_are_a_batch_or_a_pack_error(body: bytes) -> None:
    for candidate in (body, *(header + body for header in RAW_PACK_VERSIONS)):
        with suppress(PackError):
            decode_raw_pack(candidate)
