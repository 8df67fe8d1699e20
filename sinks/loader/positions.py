"""The table `positions`: the newest block of each clean partition, beside the rows, out of Kafka clients' reach."""

from __future__ import annotations

from typing import Any, NamedTuple

from schemas.links import Position
from sinks.loader.block import Block
from sinks.warehouse.client import Warehouse

_NONE = Position("", -1, "")


class Place(NamedTuple):
    """What `positions` says of a partition: the block that was about to be inserted, and what lies on both sides."""

    start: int
    end: int  # as start: everything before is loaded, and nothing is under way
    last: Position | None  # the accepted pack before the block
    after: (
        Position | None
    )  # the last accepted pack of it; None also in rows of a version that did not write it
    refused: tuple[int, ...] = ()  # offsets in it whose packs were refused

    @property
    def is_finished(self) -> bool:
        """Whether nothing is under way."""
        return self.start == self.end


def write_position(warehouse: Warehouse, group: str, block: Block) -> None:
    """Remember a block that is about to be inserted. Raises WarehouseError."""
    place = Place(block.start, block.end, block.last_before, block.last, tuple(block.refused))
    _write(warehouse, group, block.topic_id, block.partition, place)


def write_finished(warehouse: Warehouse, group: str, block: Block) -> None:
    """Remember that everything before the block is loaded. Raises WarehouseError."""
    place = Place(block.start, block.start, block.last_before, block.last_before)
    _write(warehouse, group, block.topic_id, block.partition, place)


def _write(warehouse: Warehouse, group: str, topic_id: str, partition: int, place: Place) -> None:
    last, after = place.last or _NONE, place.after or _NONE
    warehouse.execute(
        "INSERT INTO positions "
        "(consumer_group, topic_id, partition, start_offset, end_offset, last_topic_id, last_offset, last_writer, "
        "after_topic_id, after_offset, after_writer, refused) "
        "SELECT {group:String}, {topic_id:String}, {partition:UInt16}, {start:UInt64}, {end:UInt64}, "
        "{last_topic_id:String}, {last_offset:Int64}, {last_writer:String}, "
        "{after_topic_id:String}, {after_offset:Int64}, {after_writer:String}, {refused:Array(UInt64)}",
        {
            "group": group,
            "topic_id": topic_id,
            "partition": str(partition),
            "start": str(place.start),
            "end": str(place.end),
            "last_topic_id": last.topic_id,
            "last_offset": str(last.offset),
            "last_writer": last.writer,
            "after_topic_id": after.topic_id,
            "after_offset": str(after.offset),
            "after_writer": after.writer,
            "refused": list(place.refused),
        },
    )


def read_position(warehouse: Warehouse, group: str, topic_id: str, partition: int) -> Place | None:
    """The newest block; None when there was none. Raises WarehouseError."""
    rows = warehouse.rows(
        "SELECT * FROM positions WHERE consumer_group = {group:String} AND topic_id = {topic_id:String} "
        "AND partition = {partition:UInt16} ORDER BY start_offset DESC, end_offset DESC LIMIT 1",
        {"group": group, "topic_id": topic_id, "partition": str(partition)},
    )
    if not rows:
        return None
    row = rows[0]
    return Place(
        row["start_offset"],
        row["end_offset"],
        _position(row, "last"),
        _position(row, "after"),
        tuple(row["refused"]),
    )


def _position(row: dict[str, Any], name: str) -> Position | None:
    writer = row[f"{name}_writer"]
    return Position(row[f"{name}_topic_id"], row[f"{name}_offset"], writer) if writer else None
