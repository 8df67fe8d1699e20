"""A backend reports a purchase, and sends it again under the same id until the edge has accepted it.

An answer of 200 means that Kafka or the edge's spool has the event. Where no answer comes nobody knows, so the event is
sent again; its id makes the second copy a duplicate, and the purchase one row.
"""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

EDGE_URL = os.environ.get("EDGE_URL", "http://127.0.0.1:8000")
SITE_KEY = os.environ.get("SITE_KEY", "demo")
ATTEMPTS_MAX = 8
ANSWER_SECONDS_MAX = 10
WAIT_SECONDS_MAX = 30
TRY_AGAIN = (408, 429, 503)  # too slow, too many, no room: the same request may succeed later


def send(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The result of each event, in order. HTTPError where the request is wrong, TimeoutError after the last attempt."""
    request = Request(
        f"{EDGE_URL}/v1/events",
        json.dumps({"events": events}).encode(),
        {"Authorization": f"Bearer {SITE_KEY}", "Content-Type": "application/json"},
    )
    for attempt in range(ATTEMPTS_MAX):
        wait_seconds = 0.1 * 2**attempt
        try:
            with urlopen(request, timeout=ANSWER_SECONDS_MAX) as answer:
                results: list[dict[str, Any]] = json.load(answer)["results"]
                return results
        except HTTPError as error:
            if error.code not in TRY_AGAIN:
                raise
            wait_seconds = float(error.headers.get("Retry-After", wait_seconds))
        except OSError:  # no connection, or no answer
            pass
        time.sleep(min(wait_seconds, WAIT_SECONDS_MAX))
    raise TimeoutError(f"not accepted after {ATTEMPTS_MAX} attempts")


def main() -> None:
    """One purchase, under the id of its order."""
    order = f"order-{uuid.uuid4().hex[:12]}"
    purchase = {
        "event": "purchase",
        "id": order,
        "ts": time.time_ns() // 1_000_000,
        "value": 19.90,
        "currency": "EUR",
        "user_id": "customer-7",
        "consent": "measurement",  # what this customer agreed to
        "properties": {"coupon": "may"},
    }
    (result,) = send([purchase])
    print(f"{order}: {result['status']}")
    if result["status"] != "accepted":
        sys.exit(f"{result['code']}: {result['message']} {result['detail']}")


if __name__ == "__main__":
    main()
