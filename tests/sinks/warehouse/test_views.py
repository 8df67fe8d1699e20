"""Views that people read: each with an example."""

from __future__ import annotations

from schemas.clean_pack import CLEAN_PACK
from sinks.warehouse.client import HttpWarehouse
from sinks.warehouse.container import splice
from tests.sinks.packs import Chain, sighting_pack


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
