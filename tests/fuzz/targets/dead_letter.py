"""Dead letters: headers anybody may have written are a letter or a ValueError, and a letter says itself again."""

from __future__ import annotations

from schemas.avro_codec import PackError
from schemas.dead_letter import DeadLetter
from schemas.direct import open_dead_letter
from tests.ingest.builders import RING

LENGTH_MAX = 1_000
SEEDS = (
    b"reason=unreadable\ntopic=events.raw.v1\ntopic_id=a\npartition=0\noffset=7\n\nvalue",
    b"reason=not_a_pack\ntopic=\ntopic_id=\npartition=-1\noffset=\xd9\xa3\n\n",
)
WORDS = (
    b"reason=",
    b"topic=",
    b"topic_id=",
    b"partition=",
    b"offset=",
    b"unreadable",
    b"1_000",
    b"9" * 50,
    b" 7 ",
)


def fuzz(data: bytes) -> None:
    """Lines of `name=value`, then the value of the message."""
    lines, _, value = data.partition(b"\n\n")
    pairs = [line.partition(b"=") for line in lines.split(b"\n")]
    headers = [(name.decode("latin-1"), said if sign else None) for name, sign, said in pairs]
    try:
        letter = DeadLetter.from_message(value, headers)
    except ValueError:
        return
    again = DeadLetter.from_message(value, letter.headers())
    assert again == letter
    try:
        open_dead_letter(letter, RING)
    except PackError:
        return
    raise AssertionError("a letter nobody sealed was opened")
