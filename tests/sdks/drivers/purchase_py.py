"""One purchase by segment-analytics-python: base address, key and order id."""

from __future__ import annotations

import sys

from segment.analytics.client import Client

endpoint, key, order = sys.argv[1:]
client = Client(key, host=endpoint)
client.track("user-1", "Order Completed", {"order_id": order, "revenue": 19.90, "currency": "EUR"})
client.flush()
client.join()
