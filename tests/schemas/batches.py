"""Any batch: text and numbers of every kind, in columns that vary, columns of one value and columns of defaults."""

from __future__ import annotations

from hypothesis import strategies as st

from schemas.event import EVENT_FIELDS, Event, EventBatch

_texts = st.text(st.characters(codec="utf-8"), max_size=30)
_longs = st.integers(min_value=-(2**63), max_value=2**63 - 1)
_VALUES: dict[str, st.SearchStrategy[object]] = {
    name: _texts if kind == "str" else st.integers(0, 2**31 - 1) if name == "flags" else _longs
    for name, kind in Event.__annotations__.items()
}


@st.composite
def batches(draw: st.DrawFn, count_max: int = 5) -> EventBatch:
    """A batch of no, one or many events."""
    count = draw(st.integers(0, count_max))
    constant = draw(st.sets(st.sampled_from(EVENT_FIELDS)))
    made = {
        name: [draw(value)] * count
        if name in constant
        else draw(st.lists(value, min_size=count, max_size=count))
        for name, value in _VALUES.items()
    }
    return EventBatch(**made)  # type: ignore[arg-type]


def columns(batch: EventBatch) -> dict[str, list[object]]:
    """A batch as the packs' encoder takes it."""
    return {name: getattr(batch, name) for name in EVENT_FIELDS}
