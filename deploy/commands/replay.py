"""`fairpixel replay`: the messages nobody could read, and the way back for those that can be read by now."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.commands._replay_direct import is_readable, replay_direct, send
from deploy.errors import Trouble
from schemas.drops import DeadReason

if TYPE_CHECKING:
    from runtime.kafka_access import KafkaAccess
    from schemas.dead_letter import DeadLetter
    from schemas.ring import Ring
    from streams.partition.log_reader import LogReader
    from streams.partition.replay import Found


def run(
    partition: Annotated[int | None, typer.Option("--partition", help="of the dead letter to replay")] = None,
    offset: Annotated[int | None, typer.Option("--offset", help="of the dead letter to replay")] = None,
    file: Annotated[Path | None, typer.Option("--file", help="send these mended bytes in its place")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="replay each one that can be read by now")
    ] = False,
) -> None:
    """List the dead letters, never their content; with --partition and --offset, or --all, put them back.

    A pack that became rows before stores nothing again, however often it is replayed.
    """
    from deploy.local import Platform
    from runtime.kafka_access import find_access
    from streams.keyring import read_ring
    from streams.partition.log_reader import KafkaLogReader, KafkaUnavailable
    from streams.partition.replay import find_letters

    one = partition is not None and offset is not None
    if (partition is None) != (offset is None) or (one and everything) or (file is not None and not one):
        raise Trouble(
            "A dead letter is named by its partition and its offset.",
            "Use --partition P --offset O (with --file FILE for mended bytes), or --all, or nothing for the list.",
        )
    settings = Platform.from_env(os.environ).settings
    kafka = find_access(settings, "operator")
    log = KafkaLogReader(kafka)
    try:
        found = list(find_letters(log, log.partition_count()))
        ring = read_ring(settings.keys)
        if one:
            chosen = [letter for letter in found if (letter.partition, letter.offset) == (partition, offset)]
            if not chosen:
                raise Trouble(
                    f"There is no dead letter at partition {partition}, offset {offset}.",
                    "See which there are: fairpixel replay.",
                )
            print(_replay(log, kafka, chosen[0], ring, file))
        elif everything:
            for letter in found:
                if letter.letter and letter.letter.reason is DeadReason.POISONOUS:
                    print(
                        f"{_place(letter)}: left where it is. It ended its readers: replay it by its place."
                    )
                    continue
                try:
                    print(_replay(log, kafka, letter, ring, None))
                except Trouble as trouble:
                    print(f"{_place(letter)}: left where it is. {trouble.what}")
        else:
            _print_list(found, ring)
    except KafkaUnavailable as error:
        raise Trouble(
            f"Kafka does not answer on {kafka.bootstrap}: {error}.", "See fairpixel status."
        ) from None


def _replay(log: LogReader, kafka: KafkaAccess, found: Found, ring: Ring, file: Path | None) -> str:
    """Put one back on the partition it came from. Raises Trouble when that would be of no use."""
    from schemas.topics import DIRECT
    from streams.partition.replay import can_go_back, has_rows_already, why_unreadable

    letter = found.letter
    if letter is None:
        raise Trouble(
            "It is not a dead letter of this platform.", "Nothing needs to be done: nobody waits for it."
        )
    if letter.left_out is not None and file is None:
        raise Trouble(
            f"It cannot be replayed: its {letter.left_out.size} bytes were too many for a dead letter, which holds "
            f"their SHA-256 alone ({letter.left_out.sha256}).",
            f"Read them at {_origin(letter)} while the topic keeps them, and give them mended: --file.",
        )
    if letter.topic == DIRECT:
        return f"{_place(found)}: {replay_direct(kafka, letter, ring, file)}"
    if not can_go_back(letter):
        raise Trouble(
            "It is a clean pack, and its place in the clean log is behind us.",
            "fairpixel ledger names what is missing; its origin in the raw topic stands in the pack.",
        )
    value = letter.value
    if file is not None:
        try:
            value = file.read_bytes()
        except OSError as error:
            raise Trouble(
                f"{file} cannot be read: {error.strerror}.", "Name a file with the mended bytes."
            ) from None
    reason = why_unreadable(value, ring)
    if reason is not None:
        raise Trouble(
            f"It would become a dead letter again: {reason}.",
            "Mend the bytes (--file), restore the key ring's folder, or update the program, then replay.",
        )
    if has_rows_already(log, letter.origin.partition, found.time_ms, time.time_ns() // 1_000_000, value):
        return f"{_place(found)}: its rows stand already; nothing was sent."
    send(kafka, letter.topic, letter.origin.partition, value)
    return (
        f"{_place(found)}: back on {letter.topic}, partition {letter.origin.partition}, {len(value)} bytes."
    )


def _print_list(found: list[Found], ring: Ring) -> None:
    from rich.console import Console
    from rich.table import Table

    from streams.partition.replay import can_go_back, why_unreadable

    console = Console(width=None if os.isatty(1) else 140)
    if not found:
        console.print("There are no dead letters.")
        return
    table = Table(
        "dead letter", "since (UTC)", "came from", "reason", "bytes", "by now", box=None, pad_edge=False
    )
    for one in found:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(one.time_ms / 1000))
        letter = one.letter
        if letter is None:
            table.add_row(_place(one), since, "", "not a dead letter", str(one.size), "")
            continue
        if letter.left_out is not None:
            by_now = "too large, not kept"
        elif letter.reason is DeadReason.POISONOUS:  # to look into it may end this program too
            by_now = "after an update"
        elif is_readable(letter, ring) or (
            can_go_back(letter) and why_unreadable(letter.value, ring) is None
        ):
            by_now = "readable"
        else:
            by_now = ""
        table.add_row(_place(one), since, _origin(letter), str(letter.reason), str(one.size), by_now)
    console.print(table)
    console.print(
        "Replay one: fairpixel replay --partition P --offset O [--file MENDED]; those readable by now: --all"
    )


def _origin(letter: DeadLetter) -> str:
    return f"{letter.topic} {letter.origin.partition}/{letter.origin.offset}"


def _place(found: Found) -> str:
    return f"{found.partition}/{found.offset}"
