"""Records of columns are written as fastavro writes them, byte for byte."""

from __future__ import annotations

import io
from typing import Any

import pytest
from fastavro import schemaless_writer
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.avro.columns import compile_fields, write_fields, write_number
from schemas.avro_codec import build_schema, encode, load_schema

TEXTS = st.one_of(
    st.text(max_size=5), st.sampled_from(["", "demo", "é" * 64, "a" * 63, "a" * 64, "b" * 8_191, "b" * 8_192])
)
SMALL, LONG = st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1)
ITEMS: dict[str, st.SearchStrategy[Any]] = {
    "string": TEXTS, "bytes": st.binary(max_size=100), "int": SMALL, "long": LONG, "boolean": st.booleans(),
}  # fmt: skip
SCHEMA = build_schema(
    "record",
    {
        "type": "record",
        "name": "Record",
        "fields": [
            *({"name": f"one_{kind}", "type": kind} for kind in ITEMS),
            *({"name": f"all_{kind}", "type": {"type": "array", "items": kind}} for kind in ITEMS),
        ],
    },
)


def columns(items: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """None, a few, one value many times, and few values many times, as columns of packs are."""
    few = st.lists(items, min_size=1, max_size=4)
    return st.one_of(
        st.lists(items, max_size=20),
        st.builds(lambda item, count: [item] * count, items, st.integers(1, 300)),
        few.flatmap(lambda some: st.lists(st.sampled_from(some), min_size=150, max_size=200)),
    )


def by_fastavro(schema: Any, record: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    schemaless_writer(out, schema.parsed, record)
    return out.getvalue()


@settings(deadline=None, max_examples=300)
@given(
    st.fixed_dictionaries(
        {f"one_{kind}": items for kind, items in ITEMS.items()}
        | {f"all_{kind}": columns(items) for kind, items in ITEMS.items()}
    )
)
def test_a_record_is_written_as_fastavro_writes_it(record: dict[str, Any]) -> None:
    assert SCHEMA.fields is not None
    assert write_fields(SCHEMA.fields, record) == by_fastavro(SCHEMA, record)


@pytest.mark.parametrize("name", ["raw_pack.v3", "raw_envelope.v1", "clean_pack.v1", "clean_pack.v2"])
def test_packs_are_written_so(name: str) -> None:
    assert load_schema(name).fields


def test_a_field_that_a_record_lacks_has_its_default() -> None:
    schema = load_schema("raw_pack.v3")
    record = {"edge": "a", "count": 0} | {
        one["name"]: [] for one in schema.declared["fields"] if isinstance(one["type"], dict)
    }
    assert encode(schema, record) == schema.header + by_fastavro(schema, record)
    with pytest.raises(KeyError):
        encode(schema, {"edge": "a"})


def test_a_record_with_another_type_is_left_to_fastavro() -> None:
    assert compile_fields(load_schema("direct_event.v1").declared) is None


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
def test_a_number_that_is_too_large_is_refused(number: int) -> None:
    with pytest.raises(OverflowError):
        write_number(number)
    assert SCHEMA.fields is not None
    for column in ([number], [number] * 20):
        with pytest.raises(OverflowError):
            dict(SCHEMA.fields.writers)["all_long"](column)


def test_a_text_that_is_no_unicode_is_refused() -> None:
    assert SCHEMA.fields is not None
    for column in (["\ud800"], ["a", "\ud800"]):
        with pytest.raises(UnicodeEncodeError):
            dict(SCHEMA.fields.writers)["all_string"](column)
