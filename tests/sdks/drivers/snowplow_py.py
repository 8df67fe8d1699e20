"""snowplow-tracker (Python) by POST or GET: base address, key, count and method to ids."""

from __future__ import annotations

import json
import sys
import time

from snowplow_tracker import Emitter, StructuredEvent, Tracker

endpoint, key, count, method = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
delivered: list[object] = []
emitter = Emitter(
    endpoint, method=method, batch_size=10 if method == "post" else 1, max_retry_delay_seconds=0,
    on_success=delivered.extend,
)  # fmt: skip
tracker = Tracker("driver", emitters=[emitter], app_id=key)


def wait_for(number: int) -> None:
    while len(delivered) < number:  # the SDK's own timer tries again
        time.sleep(0.002)


ids = []
for number in range(count):
    event = StructuredEvent(category="shop", action="view", label=f"item-{number}", value=number)
    ids.append(tracker.track(event))
    if method == "get":
        wait_for(number + 1)  # of several GETs at once it tries again only if the last one failed
tracker.flush()
wait_for(count)
print(json.dumps(ids))
