"""The forms of connections on docs/clients.md, as people type them."""

from __future__ import annotations

import re
from typing import Any

from tests.processes import REPO

_ROW = re.compile(r"^\| ([^|]+) \| [^`\n]*`([^`]+)`", re.MULTILINE)


def form(client: str, port: int) -> str:
    """What stands in the row of `client`, at this port."""
    rows = dict(_ROW.findall((REPO / "docs" / "clients.md").read_text("utf-8")))
    return str(rows[client]).replace("8123", str(port))


def evaluated(client: str, port: int, **names: Any) -> Any:
    """What a form in Python gives, with these names to call."""
    return eval(form(client, port), names)
