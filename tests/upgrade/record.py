"""Records what the version it runs in writes, for later versions to read: messages, and a data folder in full motion.

    .venv/bin/python -m tests.upgrade.record

takes three minutes and makes `tests/golden/recorded/<commit>/`. Run it in a checkout of the version that is to be
recorded, outside any other checkout, just before something about files, topics or tables changes; then commit what it
made. Where that version has no tests/upgrade yet, copy this folder there.

The folder is as `make down` leaves it, and these are under way in it:

- events that stand in ClickHouse, with an open alert whose message no webhook took;
- a block of clean packs the loader was about to insert when it was killed: its intent is in Kafka, its rows nowhere;
- clean packs behind that block, raw packs nobody decided, raw packs in the edge's spool, messages of producers that
  no edge has read, lines of a log behind the follower's position.

What must come of it is not thought up: the recording version goes on with the folder itself afterwards, and its rows
are written down. All keys and passwords in it were made for it alone.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

from runtime.keyring import read_ring
from schemas.avro_codec import PackError
from schemas.ring import Ring
from schemas.topics import CLEAN, PARTITIONS_DEFAULT, RAW
from sinks.settings import SinksSettings
from sinks.warehouse.migrate import read_migrations
from tests.platform import Platform, await_that
from tests.upgrade.readers import READERS, Headers, plain
from tests.upgrade.traffic import (
    access_log,
    follower,
    log_line,
    produce,
    send,
    send_history,
    write,
    write_sites,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "recorded"
# Of a row all that says what happened; left out is when and how it was loaded.
ROWS = (
    "SELECT * EXCEPT (loaded_at, origin_topic_id, origin_partition, origin_offset, rules_version) "
    "FROM fairpixel.events WHERE site = 'demo' ORDER BY event_id"
)
LEDGER = (
    "SELECT site, sum(accepted) accepted, sum(kept) kept, sum(dead) dead, sum(difference) difference "
    "FROM fairpixel.ledger GROUP BY site ORDER BY site"
)
COUNT = "SELECT count() FROM fairpixel.events WHERE"
# Of each topic so many messages are kept one by one: those that say most, but for what reads to more characters.
MESSAGES_MAX, READ_MAX = 6, 8_000
# Made anew at each start, or for people alone; some name folders of the machine that recorded.
LEFT_OUT = re.compile(
    r"data/(logs|run|clickhouse/(server|tmp))/.+|data/clickhouse/server\.lock|data/streams/seen/.*/LOG.*"
    r"|data/kafka/(server\.properties|log4j2\.yaml)"
)


def main() -> None:
    """Record, and say where."""
    target = GOLDEN / _git("rev-parse", "--short=7", "HEAD")
    target.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="fairpixel-"))
    platform = Platform(folder, {"FAIRPIXEL_INGEST_NAME": "recorded"})
    try:
        platform.up()
        said = set_in_motion(platform)
        write_json(target / "messages.json", {"keys": _keys(platform), **recorded_messages(platform)})
        platform.down()
        write_archive(folder, target / "folder.tar.xz")
        platform.up()
        said |= go_on(platform)
        write_json(target / "folder.json", said)
    finally:
        platform.run("down", check=False)
        shutil.rmtree(folder)
    print(f"recorded in {target}")


def set_in_motion(platform: Platform) -> dict[str, Any]:
    """Leave something in every place where something can wait; says what a test must know of it."""
    let_arrive(platform)
    opened = "SELECT alert_id FROM fairpixel.alerts WHERE state = 'open'"
    alerts = await_that(lambda: platform.query(opened), "an alert", 150)
    loaded = [row["event_id"] for row in platform.query(ROWS)]
    interrupt(platform)
    return {
        "recorded_at_ms": int(time.time() * 1_000),
        "loaded": loaded,
        "alert_id": alerts[0]["alert_id"],
        "log": access_log(platform).read_text(),
    }


def let_arrive(platform: Platform) -> None:
    """Everything there is to an ordinary day, until it is loaded; then two more lines in a log nobody follows."""
    write_sites(platform)
    send_history(platform)
    send(platform, "loaded")
    write(platform, RAW, [b"no pack"])
    write(platform, CLEAN, [b"no clean pack"])
    produce(platform, "produced")
    lines = [*map(log_line, ("read-0", "read-1", "read-2")), "198.51.100.77 is no line of a log\n"]
    access_log(platform).write_text("".join(lines))
    with follower(platform):
        await_that(lambda: platform.count(f"{COUNT} path LIKE '/read-%'") == 3, "the log's lines are rows")
    with access_log(platform).open("a") as log:
        log.writelines(map(log_line, ("left-0", "left-1")))
    await_that(lambda: platform.count(f"{COUNT} source = 'direct'") == 2, "the producers' events are rows")
    platform.settle()
    await_that(lambda: len(list(platform.dead_letters())) == 3, "three dead letters")


def interrupt(platform: Platform) -> None:
    """Stop one program after the other, from the end, and send something before each of them is gone."""
    platform.supervise("stop", "clickhouse")
    send(platform, "intended", again="loaded-0")
    await_that(lambda: sum(intents(platform)) > 0, "the loader is about to insert")
    kill(platform, "sinks")
    before = _ends(platform, CLEAN)
    send(platform, "decided", again="intended-0")
    await_that(lambda: _ends(platform, CLEAN) > before, "streams decides")
    await_that(lambda: platform.programs()["streams"]["consumer_lag"] == 0, "streams has decided all")
    platform.supervise("stop", "streams")
    send(platform, "raw", again="decided-0")
    platform.supervise("stop", "kafka")
    send(platform, "spooled", again="loaded-1")
    assert platform.metric("FAIRPIXEL_EDGE_PORT", "fairpixel_ingest_spool_packs") > 0
    platform.supervise("stop", "ingest")
    platform.supervise("start", "kafka")
    await_that(lambda: _ends(platform, RAW), "Kafka is back")
    produce(platform, "waiting")


def go_on(platform: Platform) -> dict[str, Any]:
    """What the version that was recorded makes of its folder."""
    with follower(platform):
        await_that(
            lambda: platform.count(f"{COUNT} path LIKE '/left-%'") == 2, "the log's last lines are rows"
        )
    await_that(lambda: platform.count(f"{COUNT} source = 'direct'") == 4, "the producers' events are rows")
    platform.settle()
    dead_letters = len(list(platform.dead_letters()))
    return {
        "rows": platform.query(ROWS),
        "ledger": platform.query(LEDGER),
        "dead_letters": dead_letters,
        "migrations": {one.name: one.checksum for one in read_migrations()},
    }


def intents(platform: Platform) -> list[int]:
    """Of each clean partition how many offsets the loader is about to insert, by its note in Kafka."""
    consumer = Consumer({**platform.kafka().client(), "group.id": SinksSettings().group, "log_level": 0})
    try:
        wanted = [TopicPartition(CLEAN, partition) for partition in range(PARTITIONS_DEFAULT)]
        notes = [
            (one.offset, json.loads(one.metadata or "{}")) for one in consumer.committed(wanted, timeout=10)
        ]
        return [max(0, (note.get("end") or 0) - offset) for offset, note in notes]
    finally:
        consumer.close()


def kill(platform: Platform, program: str) -> None:
    """End a program so that it has no say in it; it stays away."""
    pid = platform.signal(program, signal.SIGSTOP)
    platform.supervise("stop", program)
    os.kill(pid, signal.SIGKILL)
    await_that(lambda: platform.programs()[program]["pid"] is None, f"{program} is gone")


def recorded_messages(platform: Platform) -> dict[str, list[dict[str, Any]]]:
    """A few messages of each topic, and how this version reads them."""
    ring = read_ring(Path(platform.env["FAIRPIXEL_KEYS"]))
    found = {topic: sorted(_read_all(platform, topic, ring), key=_size, reverse=True) for topic in READERS}
    return {
        topic: [one for one in all_ if _size(one) <= READ_MAX][:MESSAGES_MAX] for topic, all_ in found.items()
    }


def _size(one: dict[str, Any]) -> int:
    return len(json.dumps(one["read"]))


def _read_all(platform: Platform, topic: str, ring: Ring) -> Iterator[dict[str, Any]]:
    for message in _messages(platform, topic):
        value, headers = message.value() or b"", _headers(message)
        try:
            read = plain(READERS[topic](value, headers, ring))
        except PackError:
            continue
        yield {"value": base64.b64encode(value).decode(), "headers": headers, "read": read}


def write_archive(folder: Path, target: Path) -> None:
    """The platform's folder as it is, small, and nobody's own: data and keys, without logs and sockets."""
    with tarfile.open(target, "w:xz", preset=9, format=tarfile.PAX_FORMAT) as archive:
        for path in sorted([*(folder / "data").rglob("*"), *(folder / "keys").rglob("*")]):
            name = str(path.relative_to(folder))
            if not LEFT_OUT.fullmatch(name):
                archive.add(path, name, recursive=False, filter=_anonymous)


def write_json(path: Path, content: object) -> None:
    """One value a line, so that a diff can be read."""
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = int(entry.mtime)
    return entry


def _git(*args: str) -> str:
    return subprocess.run(["git", *args], capture_output=True, text=True, check=True).stdout.strip()


def _ends(platform: Platform, topic: str) -> int:
    """How many messages the topic has had, all partitions together."""
    consumer = Consumer({**platform.kafka().client(), "group.id": "reader", "log_level": 0})
    try:
        wanted = [TopicPartition(topic, partition) for partition in range(PARTITIONS_DEFAULT)]
        return sum(int(consumer.get_watermark_offsets(one, timeout=5)[1]) for one in wanted)
    except KafkaException as error:
        raise OSError(f"Kafka does not answer: {error.args[0].name()}") from None
    finally:
        consumer.close()


def _messages(platform: Platform, topic: str) -> Iterator[Message]:
    consumer = Consumer(
        {**platform.kafka().client(), "group.id": "reader", "enable.partition.eof": True, "log_level": 0}
    )
    try:
        for partition in range(PARTITIONS_DEFAULT):
            consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
            while not (message := await_that(lambda: consumer.poll(5), "a message")).error():
                yield message
    finally:
        consumer.close()


def _keys(platform: Platform) -> dict[str, str]:
    return {path.name: path.read_bytes().hex() for path in Path(platform.env["FAIRPIXEL_KEYS"]).glob("*.key")}


def _headers(message: Message) -> Headers:
    return {name: bytes(value or b"").decode() for name, value in message.headers() or []}


if __name__ == "__main__":
    main()
