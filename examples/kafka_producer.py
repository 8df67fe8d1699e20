"""A team with access to Kafka writes its events to the topic itself, as JSON, one event a message.

The broker's acknowledgement is the accepted of this path: the message lies on all in-sync replicas. Each event has an
id of its own, so one that is written twice is one row. A message that is not an event goes to the dead-letter queue.
"""

from __future__ import annotations

import json
import os
import sys
import uuid

from confluent_kafka import KafkaError, Message, Producer

KAFKA_BOOTSTRAP = os.environ.get("KAFKA_BOOTSTRAP", "127.0.0.1:9092")
SITE = os.environ.get("SITE", "demo")
TOPIC = "events.direct.v1"
EVENT_COUNT = 3
FLUSH_SECONDS_MAX = 30


def main() -> None:
    """Three sign-ups; ends with an error unless the broker has acknowledged every one."""
    producer = Producer({"bootstrap.servers": KAFKA_BOOTSTRAP, "enable.idempotence": True})
    failed: list[str] = []

    def on_delivery(error: KafkaError | None, message: Message) -> None:
        event_id = json.loads(message.value() or b"{}").get("id")
        print(f"{event_id}: {error or 'acknowledged'}")
        if error:
            failed.append(event_id)

    for _ in range(EVENT_COUNT):
        event = {
            "site": SITE,
            "event": "signup",
            "id": f"signup-{uuid.uuid4().hex[:12]}",
            "user_id": "customer-7",
            "consent": "measurement",  # what this customer agreed to
            "properties": {"plan": "team"},
        }
        producer.produce(TOPIC, json.dumps(event).encode(), on_delivery=on_delivery)
    if producer.flush(FLUSH_SECONDS_MAX) or failed:
        sys.exit("Not every event was acknowledged.")


if __name__ == "__main__":
    main()
