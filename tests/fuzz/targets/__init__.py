"""What is fuzzed, one small file a target: `fuzz(data)`, `SEEDS` to start from, `LENGTH_MAX`, and `WORDS` it knows.

`fuzz` raises where a promise of the code is broken, and returns for everything else, refused input included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

CORPUS = Path(__file__).parent.parent / "corpus"
NAMES = (
    "connection", "body", "events", "pixel", "protocols", "cookies", "sql", "form", "consent", "log_lines", "raw_pack",
    "envelope", "clean_pack", "direct", "dead_letter", "scrub", "urls", "agents", "pipeline",
    "blocks", "native",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Target:
    """One thing that is fuzzed."""

    name: str
    fuzz: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    length_max: int  # bytes of an input
    words: tuple[bytes, ...] = ()  # what is worth trying inside an input

    @property
    def folder(self) -> Path:
        """Inputs that once broke something, and those no seed in code can say shorter."""
        return CORPUS / self.name

    def inputs(self) -> Iterator[tuple[str, bytes]]:
        """(name, bytes) of every seed and every past finding."""
        for number, seed in enumerate(self.seeds):
            yield f"seed-{number}", seed
        for path in sorted(self.folder.glob("*")):
            yield path.name, path.read_bytes()


def load(name: str) -> Target:
    """The target of this name; imports what it fuzzes."""
    module = import_module(f"{__name__}.{name}")
    return Target(
        name, module.fuzz, tuple(module.SEEDS), module.LENGTH_MAX, tuple(getattr(module, "WORDS", ()))
    )
