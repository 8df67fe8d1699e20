"""rudder-sdk-python: base address, key and count to ids."""

from __future__ import annotations

import json
import sys

from rudderstack.analytics.client import Client

endpoint, key, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
client = Client(key, host=endpoint, upload_size=10, upload_interval=0.1)
ids = []
for number in range(count):
    took, message = client.track(f"user-{number}", "Item Viewed", {"number": number})
    assert took
    ids.append(message["messageId"])
client.flush()
client.join()
print(json.dumps(ids))
