"""posthog (Python), capture v0 or v1: base address, key, count and mode to ids."""

from __future__ import annotations

import json
import sys

from posthog import Posthog

endpoint, key, count, mode = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
client = Posthog(key, host=endpoint, flush_at=20, flush_interval=0.2, thread=4, capture_mode=mode)
ids = [
    client.capture("item_viewed", distinct_id=f"user-{number}", properties={"number": number})
    for number in range(count)
]
assert all(ids)
client.shutdown()
print(json.dumps(ids))
