"""Builder: the head of a clean pack that answers one raw message."""

from __future__ import annotations

from typing import Any

from schemas.clean_pack import Answer, CleanHead
from schemas.links import Origin, Position


def head_of_one(
    origin: Origin, writer: str, link: Position | None, pack_id: str = "", *, kept: bytes = b"", **answer: Any
) -> CleanHead:
    """answer: the other fields of `Answer`."""
    return CleanHead(origin, writer, link, (Answer(pack_id, **answer),), kept)
