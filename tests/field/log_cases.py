"""The cases of logs.jsonl, which two ways of reading them share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CASES = [json.loads(line) for line in Path(__file__).with_name("logs.jsonl").read_text("utf-8").splitlines()]


def bytes_of(case: dict[str, Any]) -> bytes:
    if "bytes" in case:
        return case["bytes"].encode("latin-1")  # type: ignore[no-any-return]
    return "".join(f"{line}\n" for line in case["lines"]).encode()
