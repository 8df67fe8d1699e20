"""The log formats by name, and which of them a file is in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from ingest.logs.access_log import CombinedFormat, CommonFormat, LineReader, VhostFormat
from ingest.logs.formats.alb import AlbFormat
from ingest.logs.formats.caddy import CaddyFormat
from ingest.logs.formats.cloudfront import CloudFrontFormat
from ingest.logs.formats.nginx_json import NginxJsonFormat

MakeReader = Callable[[str, str, int], LineReader]  # site, host of addresses that name none, now in ms

FORMATS: Mapping[str, MakeReader] = MappingProxyType(
    {
        "combined": CombinedFormat,
        "vhost_combined": VhostFormat,
        "common": CommonFormat,
        "nginx-json": NginxJsonFormat,
        "caddy": CaddyFormat,
        "cloudfront": CloudFrontFormat,
        "alb": AlbFormat,
    }
)
PIXEL_QUEUE = "fairpixel-pixel"  # nginx ingestion's log; it needs the sites, see pixel_queue.py
LINES_LOOKED_AT = 1_000


def detect(lines: Iterable[bytes], now_ms: int) -> str | None:
    """The format of a file, told by the first line that any format can read, or by its header; None for no format.

    lines: the first ones of the file, LINES_LOOKED_AT are enough.
    """
    readers = {name: make("", "", now_ms) for name, make in FORMATS.items()}
    for line in lines:
        line = line.rstrip(b"\r\n")
        for name, read in readers.items():
            if read(line, ""):
                return name
    cloudfront = readers["cloudfront"]
    return "cloudfront" if isinstance(cloudfront, CloudFrontFormat) and cloudfront.has_header else None
