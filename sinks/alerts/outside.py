"""Seams: the raw topic's end offsets, and the spool of an edge."""

from __future__ import annotations

import urllib3
from confluent_kafka import Consumer, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from prometheus_client.parser import text_string_to_metric_families

from runtime.kafka import KafkaUnavailable
from runtime.kafka_access import KafkaAccess
from runtime.metrics import INGEST_SPOOL_PACKS
from schemas.topics import ALERTS_READER, RAW
from sinks.alerts.closing import Watermarks

ANSWER_SECONDS_MAX = 5.0
EDGE_SECONDS_MAX = 1.0


class KafkaRawTopic:
    """Watermarks of events.raw.v1, asked of the broker each time; the topic's id too, for a name can be made twice."""

    def __init__(self, kafka: KafkaAccess) -> None:
        self._config: dict[str, str | int | float | bool] = {**kafka.client(), "log_level": 0}
        self._clients: tuple[AdminClient, Consumer] | None = None

    def ends(self) -> tuple[str, dict[int, Watermarks]]:
        """Raises KafkaUnavailable, also when there is no raw topic yet."""
        try:
            if self._clients is None:
                group = {
                    "group.id": ALERTS_READER,
                    "enable.auto.commit": False,
                }  # required, never joined
                self._clients = (AdminClient(self._config), Consumer({**self._config, **group}))
            admin, consumer = self._clients
            asked = admin.describe_topics(TopicCollection([RAW]), request_timeout=ANSWER_SECONDS_MAX)
            topic = asked[RAW].result(ANSWER_SECONDS_MAX * 2)
            ends = {}
            for partition in topic.partitions:
                low, high = consumer.get_watermark_offsets(
                    TopicPartition(RAW, partition.id), ANSWER_SECONDS_MAX
                )
                ends[partition.id] = Watermarks(low, high)
        except (KafkaException, TimeoutError, TypeError) as error:  # TypeError: no answer in time gives None
            self.close()
            raise KafkaUnavailable(
                type(error).__name__, f"Kafka does not answer: {type(error).__name__}"
            ) from None
        return str(topic.topic_id), ends

    def close(self) -> None:
        """Let go of the connections; the next question makes new ones."""
        if self._clients is not None:
            self._clients[1].close()
            self._clients = None


class HttpEdge:
    """The metrics page of one edge."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/metrics"
        # The edge's certificate names the site's host, and this is its address on this machine: nothing to check.
        self._pool = urllib3.PoolManager(
            num_pools=1, maxsize=1, retries=False, cert_reqs="CERT_NONE", assert_hostname=False
        )

    def spool_packs(self) -> int | None:
        """Packs in the spool; None when the edge does not answer or does not say."""
        try:
            answer = self._pool.request("GET", self._url, timeout=EDGE_SECONDS_MAX)
            if answer.status != 200:
                return None
            families = text_string_to_metric_families(answer.data.decode("utf-8", "replace"))
            samples = [
                one for family in families for one in family.samples if one.name == INGEST_SPOOL_PACKS.name
            ]
        except (urllib3.exceptions.HTTPError, OSError, ValueError):
            return None
        return int(sum(one.value for one in samples)) if samples else None
