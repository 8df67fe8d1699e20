"""From cores to sizes: how many edge workers, streams workers and partitions. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.errors import UserError

# An edge worker keeps one core busy, a streams worker one: most events cost the edge more than streams, and as much
# again goes to Kafka, ClickHouse and the loader, which use several cores by themselves. Two cores are one of each.
CORES_PER_EDGE_WORKER = 3
CORES_PER_STREAMS_WORKER = 4
EDGE_WORKERS_MAX = 16  # beyond it each has a spool and a producer for little
STREAMS_WORKERS_MAX = 8
# As many again as there are streams workers, so that a machine with twice the cores needs no growth. Not more: each
# partition has packs, fetches and inserts of its own, which a quiet site pays for (200 pixels/s: 69 % of a core with
# two partitions, 48 with one). So below CORES_OF_SEVERAL there is one.
PARTITIONS_PER_STREAMS_WORKER = 2
CORES_OF_SEVERAL = 4
PARTITIONS_MAX = 64
GROW = "docs/operations.md says how partitions grow."


@dataclass(frozen=True, slots=True)
class Asked:
    """What the environment says; 0: nothing."""

    edge_workers: int = 0
    streams_workers: int = 0
    partitions: int = 0


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a start gives each part. `why` is for people."""

    edge_workers: int = 1
    streams_workers: int = 1
    partitions: int = 1
    why: str = "as before the first start"


SMALLEST = Sizes()


def choose_sizes(cores: int, asked: Asked, fixed_partitions: int | None) -> Sizes:
    """The sizes for so many cores.

    fixed_partitions: those the topics have since an earlier start; None: they are not made yet. Raises UserError where
    what is asked cannot be had.
    """
    streams = min(_power_of_two(cores // CORES_PER_STREAMS_WORKER), STREAMS_WORKERS_MAX)
    by_cores = streams * PARTITIONS_PER_STREAMS_WORKER if cores >= CORES_OF_SEVERAL else 1
    if asked.partitions:
        partitions = _asked_partitions(asked.partitions, fixed_partitions)
    elif fixed_partitions:
        partitions = fixed_partitions
    else:
        partitions = min(PARTITIONS_MAX, max(by_cores, _power_of_two(asked.streams_workers, up=True)))
    streams = asked.streams_workers or min(streams, partitions)
    if streams > partitions:
        raise UserError(
            f"FAIRPIXEL_STREAMS_WORKERS={streams}: there are {partitions} partitions, and a worker needs one.",
            f"Ask for {partitions} at most. {GROW}",
        )
    edge = asked.edge_workers or min(max(1, round(cores / CORES_PER_EDGE_WORKER)), EDGE_WORKERS_MAX)
    return Sizes(edge, streams, partitions, _why(cores, asked, fixed_partitions, by_cores))


def _asked_partitions(asked: int, fixed: int | None) -> int:
    if not 1 <= asked <= PARTITIONS_MAX:
        raise UserError(
            f"FAIRPIXEL_KAFKA_PARTITIONS={asked} cannot be had.",
            f"Ask for 1 to {PARTITIONS_MAX}.",
        )
    if fixed and asked % fixed:
        # Only then each event's partition is a new one, or the one its copies lie on already.
        raise UserError(
            f"FAIRPIXEL_KAFKA_PARTITIONS={asked}: the topics have {fixed} partitions, which can be multiplied only.",
            f"Ask for {fixed * 2} or {fixed * 4}, or unset it. {GROW}",
        )
    return asked


def _why(cores: int, asked: Asked, fixed: int | None, by_cores: int) -> str:
    told = [f"{cores} {'core' if cores == 1 else 'cores'}"]
    told += [
        f"{variable} is set"
        for variable, value in (
            ("FAIRPIXEL_INGEST_WORKERS", asked.edge_workers),
            ("FAIRPIXEL_STREAMS_WORKERS", asked.streams_workers),
            ("FAIRPIXEL_KAFKA_PARTITIONS", asked.partitions),
        )
        if value
    ]
    if fixed and not asked.partitions:
        told.append("partitions as an earlier start made them")
        if by_cores > fixed:
            told.append(f"a first start would make {by_cores}")
    return ", ".join(told)


def _power_of_two(number: int, *, up: bool = False) -> int:
    """The largest power of two that is not above a number, or the smallest that is not below it; at least 1."""
    if number < 1:
        return 1
    return 1 << (number - 1).bit_length() if up else 1 << (number.bit_length() - 1)
