"""What is stored already: the cache of the clean log, and over it the packs that are under way."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.clean_pack import CleanHead
from schemas.identity import KEY_BYTES
from streams.fault import BrokenDependency
from streams.partition.store import DeduplicationStore, Mark
from streams.steps.duplicates import Known


class Deduplication:
    """Answers for one partition. Packs under way count as stored: if one is not accepted, all behind it come again."""

    def __init__(self, store: DeduplicationStore) -> None:
        self.store = store
        self._entries: dict[bytes, bytes] = {}  # key -> source and fingerprint, as in a clean pack
        self._packs: set[str] = set()

    def look_up(self, keys: Sequence[bytes], now_ms: int) -> Sequence[Known | None]:
        """What is stored of each key within the window; `now_ms` by the broker's clock. Raises BrokenDependency."""
        try:
            found = self.store.look_up(keys, now_ms)
        except Exception as error:  # rocksdict raises Exception itself
            raise BrokenDependency("the deduplication store cannot be read") from error
        entries = self._entries
        if entries.keys().isdisjoint(keys):
            return found
        return [
            Known(entry[KEY_BYTES], entry[KEY_BYTES + 1 :]) if (entry := entries.get(key)) else known
            for key, known in zip(keys, found, strict=True)
        ]

    def has_pack(self, pack_id: str, now_ms: int) -> bool:
        """True when a pack with this id became a clean pack before. Raises BrokenDependency."""
        if pack_id in self._packs:
            return True
        try:
            return self.store.has_pack(pack_id, now_ms)
        except Exception as error:
            raise BrokenDependency("the deduplication store cannot be read") from error

    def hold(self, head: CleanHead, entries: dict[bytes, bytes]) -> None:
        """A clean pack was sent: `entries` is key -> 25 bytes, as in its `kept`."""
        self._entries.update(entries)
        self._packs.update(one.pack_id for one in head.answers if one.is_stored)

    def confirm(self, head: CleanHead, entries: dict[bytes, bytes], time_ms: int, mark: Mark) -> None:
        """It lies in the log: from the packs under way into the cache."""
        self.store.remember([(head, time_ms)], mark)
        for key in entries:
            del self._entries[key]
        # Not those of dead answers: a pack that was dead may have come again, and be under way behind this one.
        self._packs.difference_update(one.pack_id for one in head.answers if one.is_stored)
