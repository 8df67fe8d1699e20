"""ClickHouse's errors as its HTTP interface gives them: code, status and text."""

from __future__ import annotations

import re

# Statuses as ClickHouse 26 maps them; every other code is 500.
_STATUS: dict[int, tuple[int, ...]] = {
    400: (6, 15, 16, 25, 26, 27, 36, 38, 41, 44, 53, 62, 69, 72, 117, 161, 168, 321, 376, 427, 428, 675, 676),
    401: (194,),
    403: (192, 193, 497, 512, 516),
    404: (30, 46, 47, 50, 56, 60, 63, 73, 81, 97, 115, 336, 511),
    408: (159,),
    411: (381,),
    413: (223,),
    501: (48,),
    503: (209, 439, 76, 202),
}
_STATUS_OF = {code: status for status, codes in _STATUS.items() for code in codes}
_HEAD = re.compile(r"^Code: (\d+)\. DB::Exception: ")
_NAMED = re.compile(r"\(([A-Z][A-Z0-9_]+)\)\.?\s*$")
_VERSIONED = re.compile(r" \(version [^()]*(?:\([^()]*\))?\)\.?\s*$")


class ClickHouseError(Exception):
    """One failed request: ClickHouse's numeric code, its symbolic name and a sentence."""

    def __init__(self, code: int, name: str, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.name = name
        self.message = message
        self.status = status or _STATUS_OF.get(code, 500)

    def text(self, version: str) -> str:
        """The line ClickHouse would send as the body."""
        return f"Code: {self.code}. DB::Exception: {self.message} ({self.name}) (version {version})\n"


def parse_error(raw: str) -> ClickHouseError:
    """Read what the engine raised; nested repeats of code, name and version collapse into one."""
    code, name, message = 1001, "STD_EXCEPTION", raw.strip()
    found = False
    while True:
        message = _VERSIONED.sub("", message).rstrip()
        named = _NAMED.search(message)
        if named:
            name, message = named.group(1), message[: named.start()].rstrip()
        head = _HEAD.match(message)
        if not head:
            break
        code, message, found = int(head.group(1)), message[head.end() :], True
    if not found and not named and "DB::Exception" not in raw:
        return ClickHouseError(code, name, message or "the engine gave no reason")
    return ClickHouseError(code, name, message)
