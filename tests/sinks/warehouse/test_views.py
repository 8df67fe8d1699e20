"""Views that people read: each with an example."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from schemas.clean_pack import CLEAN_PACK
from sinks.warehouse.client import HttpWarehouse
from sinks.warehouse.container import splice
from tests.sinks.packs import NOW_MS, Chain, sighting_pack


def test_an_order_reported_by_a_pixel_and_a_backend_is_one_purchase_with_the_backends_money(
    warehouse: HttpWarehouse,
) -> None:
    chain = Chain()
    pixel = {
        "event_id": ["order-1", "order-2"],
        "name": ["purchase", "purchase"],
        "source": ["pixel", "pixel"],
        "protocol": ["matomo", "native"],
        "trust": ["public", "public"],
        "value_e4": [1, 50_000],
        "currency": ["EUR", "EUR"],
        "user": ["", ""],
        "is_bot": [False, False],
    }
    packs = [chain.pack(2, columns=pixel), sighting_pack(chain)]
    warehouse.insert("runs", splice(CLEAN_PACK, packs), token="t")
    rows = warehouse.rows(
        "SELECT order_id, toString(value) AS value, currency, user, sightings, seen_by FROM purchases ORDER BY order_id"
    )
    assert [tuple(row.values()) for row in rows] == [
        ("order-1", "19.9", "EUR", "u", 2, ["pixel/matomo", "server/native"]),
        ("order-2", "5", "EUR", "", 1, ["pixel/native"]),
    ]


def order_row(trust: str, value_e4: int, received_at: int) -> dict[str, list[Any]]:
    """The row of order-1, as a backend or a pixel reported it first."""
    source = "server" if trust == "secret" else "pixel"
    return {
        "event_id": ["order-1"], "name": ["purchase"], "source": [source], "protocol": ["native"], "trust": [trust],
        "value_e4": [value_e4], "currency": ["EUR"], "user": [""], "is_bot": [False], "received_at": [received_at],
    }  # fmt: skip


# (trust, value, seconds of receipt): the backend reports 19.90, corrects it to 17.50, and a pixel says what it likes.
REPORTS = (("secret", 199_000, 1), ("secret", 175_000, 2), ("public", 1, 3))


@pytest.mark.parametrize(
    "arrival", list(permutations(REPORTS)), ids=lambda reports: "-".join(str(r[1]) for r in reports)
)
def test_a_corrected_order_is_one_with_the_newest_amount_whatever_came_first(
    warehouse: HttpWarehouse, arrival: tuple[tuple[str, int, int], ...]
) -> None:
    chain = Chain()
    (first, value, second), *later = arrival
    packs = [chain.pack(1, columns=order_row(first, value, NOW_MS + second * 1_000))]
    packs += [
        # A public copy carries no money: streams leaves it out.
        sighting_pack(chain, value_e4 if trust == "secret" else 0, NOW_MS + at * 1_000, trust)
        for trust, value_e4, at in later
    ]
    warehouse.insert("runs", splice(CLEAN_PACK, packs), token="t")
    rows = warehouse.rows("SELECT order_id, toString(value) AS value, sightings FROM purchases")
    assert [tuple(row.values()) for row in rows] == [("order-1", "17.5", 3)]
