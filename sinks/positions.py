"""The table `positions`: the newest block of each clean partition, for when the group's own note is lost."""

from __future__ import annotations

from schemas.links import Position
from sinks.block import Block, Note
from sinks.warehouse import Warehouse


def write_position(warehouse: Warehouse, group: str, block: Block) -> None:
    """Remember a block that is about to be inserted. Raises WarehouseError."""
    last = block.last_before or Position("", -1, "")
    warehouse.execute(
        "INSERT INTO positions "
        "(consumer_group, topic_id, partition, start_offset, end_offset, last_topic_id, last_offset, last_writer) "
        "SELECT {group:String}, {topic_id:String}, {partition:UInt16}, {start:UInt64}, {end:UInt64}, "
        "{last_topic_id:String}, {last_offset:Int64}, {last_writer:String}",
        {
            "group": group,
            "topic_id": block.topic_id,
            "partition": str(block.partition),
            "start": str(block.start),
            "end": str(block.end),
            "last_topic_id": last.topic_id,
            "last_offset": str(last.offset),
            "last_writer": last.writer,
        },
    )


def read_position(warehouse: Warehouse, group: str, topic_id: str, partition: int) -> tuple[int, Note] | None:
    """Where the newest block began, and its note; None when there was none. Raises WarehouseError."""
    rows = warehouse.rows(
        "SELECT * FROM positions WHERE consumer_group = {group:String} AND topic_id = {topic_id:String} "
        "AND partition = {partition:UInt16} ORDER BY start_offset DESC, end_offset DESC LIMIT 1",
        {"group": group, "topic_id": topic_id, "partition": str(partition)},
    )
    if not rows:
        return None
    row = rows[0]
    last = (
        Position(row["last_topic_id"], row["last_offset"], row["last_writer"]) if row["last_writer"] else None
    )
    return row["start_offset"], Note(topic_id, last, row["end_offset"])
