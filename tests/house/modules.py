"""Our own modules by name, for the tests of the house."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]


def modules_of(program: str) -> dict[str, Path]:
    """Module name -> file."""
    found = {}
    for path in (ROOT / program).rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found
