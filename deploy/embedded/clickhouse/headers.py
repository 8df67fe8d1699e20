"""The part of a request's headers that its readers need."""

from __future__ import annotations

from typing import Protocol, overload


class Headers(Protocol):
    """Header values by name, whatever the case of the name."""

    @overload
    def get(self, name: str, /) -> str | None: ...

    @overload
    def get(self, name: str, default: str, /) -> str: ...

    def __contains__(self, name: str, /) -> bool: ...
