"""Messages of every topic, as earlier versions wrote them, are read by today's code as they were read then."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from schemas.ring import Ring
from schemas.topics import all_topics
from tests.upgrade.readers import READERS, plain
from tests.upgrade.record import GOLDEN

RECORDED = sorted(GOLDEN.glob("*/messages.json"))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.parent.name)
@pytest.mark.parametrize("topic", sorted(READERS))
def test_a_recorded_message_is_read_as_it_was_meant(path: Path, topic: str) -> None:
    content = json.loads(path.read_text("utf-8"))
    ring = Ring.of({name: bytes.fromhex(key) for name, key in content["keys"].items()})
    assert content[topic]
    for one in content[topic]:
        today = plain(READERS[topic](base64.b64decode(one["value"]), one["headers"], ring))
        assert of_then(today, one["read"]) == one["read"]


def test_every_topic_is_recorded() -> None:
    assert RECORDED
    assert {topic.name for topic in all_topics()} == READERS.keys()


def of_then(today: Any, then: Any) -> Any:
    """`today` without what nobody read then: a later version may have more fields."""
    match today, then:
        case dict(), dict():
            return {name: of_then(value, then[name]) for name, value in today.items() if name in then}
        case list(), list() if len(today) == len(then):
            return [*map(of_then, today, then)]
        case _:
            return today
