"""A target's seeds, changed at random from a seed of their own: what `python -m tests.fuzz.mutated TARGET COUNT SEED`
runs in a process of its own, as what is looked for may end the process."""

from __future__ import annotations

import sys
from random import Random

from tests.fuzz.avro import HOSTILE_NUMBERS
from tests.fuzz.targets import load

MEMORY_BYTES_MAX = 4_000_000_000  # of addresses; Python with all it imports takes one


def mutate(data: bytes, rng: Random) -> bytes:
    """The same with one to four changes: a hostile number put in or over, a byte changed, a piece gone or repeated."""
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        length = rng.choice((0, 1, 1, 2, 5, rng.randint(0, 60)))
        match rng.randrange(5):
            case 0 | 1:
                number = rng.choice(HOSTILE_NUMBERS)
                data = data[:at] + number + data[at + length :]
            case 2:
                data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
            case 3:
                data = data[:at] + data[at + length :]
            case 4:
                data = data[:at] + data[at : at + length] * rng.randint(1, 40) + data[at:]
    return data


def main() -> None:
    """Run so many; an exception ends it and names the input."""
    name, count, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    target, rng = load(name), Random(seed)
    _bound_memory()
    seeds = [data for _, data in target.inputs()]
    for number in range(count):
        data = mutate(rng.choice(seeds), rng)
        try:
            target.fuzz(data)
        except Exception:
            print(f"{name}, input {number} of seed {seed}: {data.hex()}", file=sys.stderr)
            raise
    print(f"{count} inputs")


def _bound_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows bounds no memory
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))


if __name__ == "__main__":
    main()
