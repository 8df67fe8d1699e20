"""`fairpixel replay`: the messages nobody could read, and the way back for those that can be read by now."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.commands._replay_direct import is_readable, replay_direct, send
from runtime.errors import UserError
from schemas.drops import DeadReason

if TYPE_CHECKING:
    from runtime.kafka_access import KafkaAccess
    from schemas.dead_letter import DeadLetter
    from schemas.ring import Ring
    from streams.kafka.log_reader import LogReader
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
    from runtime.kafka import KafkaUnavailable
    from runtime.kafka_access import operator_access
    from streams.kafka.log_reader import KafkaLogReader
    from streams.partition.replay import find_dead_letters

    one = partition is not None and offset is not None
    if (partition is None) != (offset is None) or (one and everything) or (file is not None and not one):
        raise UserError(
            "A dead letter is named by its partition and its offset.",
            "Use --partition P --offset O (with --file FILE for mended bytes), or --all, or nothing for the list.",
        )
    settings = Platform.from_env(os.environ).settings
    kafka = operator_access(settings)
    log = KafkaLogReader(kafka)
    try:
        found = list(find_dead_letters(log, log.partition_count()))
        ring = _read_ring(settings.keys)
        if one:
            chosen = [
                dead_letter
                for dead_letter in found
                if (dead_letter.partition, dead_letter.offset) == (partition, offset)
            ]
            if not chosen:
                raise UserError(
                    f"There is no dead letter at partition {partition}, offset {offset}.",
                    "See which there are: fairpixel replay.",
                )
            print(_replay(log, kafka, chosen[0], ring, file))
        elif everything:
            for dead_letter in found:
                if dead_letter.dead_letter and dead_letter.dead_letter.reason is DeadReason.POISONOUS:
                    print(
                        f"{_place(dead_letter)}: left where it is. It ended its readers: replay it by its place."
                    )
                    continue
                try:
                    print(_replay(log, kafka, dead_letter, ring, None))
                except UserError as problem:
                    print(f"{_place(dead_letter)}: left where it is. {problem.what}")
        else:
            _print_list(found, ring)
    except KafkaUnavailable as error:
        raise UserError(
            f"Kafka does not answer on {kafka.bootstrap}: {error}.", "See fairpixel status."
        ) from None


def _read_ring(folder: Path) -> Ring:
    """The key ring. Raises UserError."""
    from runtime.keyring import read_ring
    from schemas.ring import RingError

    try:
        return read_ring(folder)
    except (RingError, OSError) as error:
        raise UserError(
            f"The key ring cannot be read: {error}.", "FAIRPIXEL_KEYS says where it is."
        ) from None


def _replay(log: LogReader, kafka: KafkaAccess, found: Found, ring: Ring, file: Path | None) -> str:
    """Put one back on the partition it came from. Raises UserError when that would be of no use."""
    from schemas.topics import DIRECT
    from streams.partition.replay import can_go_back, has_rows_already, why_unreadable

    dead_letter = found.dead_letter
    if dead_letter is None:
        raise UserError(
            "It is not a dead letter of this platform.", "Nothing needs to be done: nobody waits for it."
        )
    if dead_letter.left_out is not None and file is None:
        raise UserError(
            f"It cannot be replayed: its {dead_letter.left_out.size} bytes were too many for a dead letter, "
            f"which holds their SHA-256 alone ({dead_letter.left_out.sha256}).",
            f"Read them at {_origin(dead_letter)} while the topic keeps them, and give them mended: --file.",
        )
    if dead_letter.topic == DIRECT:
        return f"{_place(found)}: {replay_direct(kafka, dead_letter, ring, file)}"
    if not can_go_back(dead_letter):
        raise UserError(
            "It is a clean pack, and its place in the clean log is behind us.",
            "fairpixel ledger names what is missing; its origin in the raw topic stands in the pack.",
        )
    value = dead_letter.value
    if file is not None:
        try:
            value = file.read_bytes()
        except OSError as error:
            raise UserError(
                f"{file} cannot be read: {error.strerror}.", "Name a file with the mended bytes."
            ) from None
    reason = why_unreadable(value, ring)
    if reason is not None:
        raise UserError(
            f"It would become a dead letter again: {reason}.",
            "Mend the bytes (--file), restore the key ring's folder, or update the program, then replay.",
        )
    if has_rows_already(log, dead_letter.origin.partition, found.time_ms, time.time_ns() // 1_000_000, value):
        return f"{_place(found)}: its rows stand already; nothing was sent."
    send(kafka, dead_letter.topic, dead_letter.origin.partition, value)
    where = f"{dead_letter.topic}, partition {dead_letter.origin.partition}"
    return f"{_place(found)}: back on {where}, {len(value)} bytes."


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
        dead_letter = one.dead_letter
        if dead_letter is None:
            table.add_row(_place(one), since, "", "not a dead letter", str(one.size), "")
            continue
        if dead_letter.left_out is not None:
            by_now = "too large, not kept"
        elif dead_letter.reason is DeadReason.POISONOUS:  # to look into it may end this program too
            by_now = "after an update"
        elif is_readable(dead_letter, ring) or (
            can_go_back(dead_letter) and why_unreadable(dead_letter.value, ring) is None
        ):
            by_now = "readable"
        else:
            by_now = ""
        table.add_row(
            _place(one), since, _origin(dead_letter), str(dead_letter.reason), str(one.size), by_now
        )
    console.print(table)
    console.print(
        "Replay one: fairpixel replay --partition P --offset O [--file MENDED]; those readable by now: --all"
    )


def _origin(dead_letter: DeadLetter) -> str:
    return f"{dead_letter.topic} {dead_letter.origin.partition}/{dead_letter.origin.offset}"


def _place(found: Found) -> str:
    return f"{found.partition}/{found.offset}"
