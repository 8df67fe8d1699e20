"""An order is one event, whatever sends it: `purchase` under the order's id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ingest.protocols.lenient import identifier

PURCHASES = frozenset({"order completed", "completed order", "purchase"})
ORDER_IDS = ("order_id", "orderId", "transaction_id")


def find_order(name: object, properties: Mapping[str, Any]) -> str | int | None:
    """The order's id, where the event is a purchase that names it; else None."""
    if not isinstance(name, str) or name.lower() not in PURCHASES:
        return None
    ids = (identifier(properties.get(key)) for key in ORDER_IDS)
    return next((one for one in ids if one is not None and one != ""), None)
