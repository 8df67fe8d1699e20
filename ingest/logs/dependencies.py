"""What import and follower share: sites, keys and Kafka, and the choice of a format."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

from ingest.logs.access_log import LineReader
from ingest.logs.formats import FORMATS, PIXEL_QUEUE, detect
from ingest.logs.formats.foreign import name_foreign
from ingest.logs.formats.pattern import PATTERN, PatternFormat
from ingest.logs.formats.pattern_text import Pattern, parse_pattern
from ingest.logs.formats.pixel_queue import PixelQueueFormat
from ingest.logs.importer import LogImport
from ingest.logs.rejects import Rejects
from ingest.packing.outbox import KafkaOutbox
from ingest.reading.sites import Sites
from runtime.config import Config
from runtime.errors import UserError
from runtime.kafka import KafkaUnavailable, kafka_errors_as_ours
from runtime.kafka_access import operator_access
from runtime.keyring import read_ring
from runtime.secrets import Secrets
from runtime.settings import PlatformSettings
from schemas.ring import Ring, RingError

METADATA_S_MAX = 10.0
GC_THRESHOLD = 20_000  # objects; a pack's rows are 500


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The platform as an import or a follower needs it."""

    settings: PlatformSettings
    sites: Sites
    names: tuple[str, ...]  # of the sites
    secret: bytes

    @classmethod
    def of(cls, settings: PlatformSettings, config: Config, secrets: Secrets) -> Dependencies:
        """What follows from these files."""
        sites = Sites.of(config, secrets.site_secret_keys)
        return cls(settings, sites, tuple(config.sites), secrets.identity_secret)

    def check_site(self, site: str, format: str) -> str:
        """The site whose unreadable lines are counted; "" for nginx ingestion's queue, whose lines name theirs."""
        if format == PIXEL_QUEUE:
            return ""
        if not site:
            raise UserError("Whose log is it?", "Say so with --site.")
        if site not in self.names:
            raise UserError(
                f"There is no site {site!r}.",
                f"Sites of {self.settings.config_path.name}: {', '.join(self.names) or 'none'}.",
            )
        return site

    def ring(self) -> Ring:
        """The key ring as it stands on disk. Raises UserError."""
        try:
            return read_ring(self.settings.keys)
        except (RingError, OSError) as error:
            raise UserError(
                f"The key ring cannot be read: {error}.", "FAIRPIXEL_KEYS says where it is."
            ) from None

    def rejects(self) -> Rejects:
        """The folder of unreadable lines. Raises UserError."""
        folder = self.settings.data / "ingest" / "rejected"
        try:
            return Rejects(folder)
        except OSError as error:
            raise UserError(
                f"{folder}: {error.strerror}.", "Unreadable lines are kept there: make it writable."
            ) from None

    def producer(self) -> KafkaOutbox:
        """The producer, whether Kafka answers or not. Raises UserError where its login or settings cannot be used."""
        kafka = operator_access(self.settings)
        try:
            with kafka_errors_as_ours():
                return KafkaOutbox(kafka)
        except KafkaUnavailable as error:
            raise UserError(f"No client of Kafka can be made: {error}.", "Check FAIRPIXEL_KAFKA_*.") from None

    def outbox(self) -> tuple[KafkaOutbox, int]:
        """The producer and the number of partitions. Raises UserError where Kafka does not answer."""
        outbox = self.producer()
        partitions = outbox.fetch_partition_count(METADATA_S_MAX)
        if partitions is None:
            raise UserError(
                f"Kafka does not answer on {self.settings.bootstrap}.", "Start the platform: fairpixel up"
            )
        return outbox, partitions

    def build_import(self, outbox: KafkaOutbox, partitions: int, site: str, rejects: Rejects) -> LogImport:
        """An import that begins now. Raises UserError while the ring has no key."""
        now_ms = time.time_ns() // 1_000_000
        try:
            key = self.ring().newest(now_ms)
        except RingError as error:
            raise UserError(f"{error}.", "Start the platform: fairpixel up") from None
        return LogImport(outbox, partitions, site, key, now_ms, os.urandom, rejects)

    def build_reader(self, format: str | Pattern, site: str, host: str) -> LineReader:
        """A reader of lines of this format, received now."""
        now_ms = time.time_ns() // 1_000_000
        if isinstance(format, Pattern):
            return PatternFormat(format, site, host, now_ms)
        if format == PIXEL_QUEUE:
            return PixelQueueFormat(self.sites.find, now_ms)
        return FORMATS[format](site, host, now_ms)


def collect_rarely() -> None:
    """Have the collector of garbage look less: rows make no cycles, and looking for some costs 1 µs a line."""
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)


def check_format(format: str, pattern: str = "") -> str | Pattern:
    """The format's name, or what its pattern says; "" is found out from the lines. Raises UserError for an unknown one,
    and for a pattern that cannot be."""
    if format and pattern:
        raise UserError("--format and --pattern both say how the lines are.", "Leave one of them out.")
    if pattern:
        return parse_pattern(pattern)
    if format and format not in FORMATS and format != PIXEL_QUEUE:
        raise UserError(
            f"The log format {format!r} is not known.", f"Known are: {', '.join((*FORMATS, PIXEL_QUEUE))}."
        )
    return format


def name_of_format(format: str | Pattern) -> str:
    """As the summary and the rows have it."""
    return format if isinstance(format, str) else PATTERN


def find_format(first_lines: Sequence[bytes], name: str) -> str:
    """The format of a file. Raises UserError where no format reads any of its first lines."""
    found = detect(first_lines, time.time_ns() // 1_000_000)
    if found is None:
        what, hint = name_foreign(first_lines) or (
            "", f"Say which it is with --format: {', '.join(FORMATS)}; or how a line is with --pattern."
        )  # fmt: skip
        raise UserError(
            f"{name}: none of the first {len(first_lines):,} lines is of a known format"
            + (f"; it looks like {what}." if what else "."),
            hint,
        )
    return found
