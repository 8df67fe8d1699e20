"""The log formats by name, and which of them a file is in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from ingest.logs.access_log import BYTE_ORDER_MARK, CombinedFormat, CommonFormat, LineReader, VhostFormat
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
LINES_COMPARED = 100  # from the first on that any format reads


def detect(lines: Iterable[bytes], now_ms: int) -> str | None:
    """The format that reads the most of a file's first lines, from the first one on that any can read, and the first of
    FORMATS among equals. Else CloudFront's by its header; None for no format.

    lines: the first ones of the file, LINES_LOOKED_AT are enough.
    """
    readers = {name: make("", "", now_ms) for name, make in FORMATS.items()}
    read_by = dict.fromkeys(FORMATS, 0)
    left = LINES_COMPARED
    for line in lines:
        line = line.rstrip(b"\r\n").removeprefix(BYTE_ORDER_MARK)
        for name, read in readers.items():
            read_by[name] += bool(read(line, ""))
        if any(read_by.values()):
            left -= 1
            if not left:
                break
    best = max(read_by, key=lambda name: read_by[name])
    if read_by[best]:
        return best
    cloudfront = readers["cloudfront"]
    return "cloudfront" if isinstance(cloudfront, CloudFrontFormat) and cloudfront.has_header else None
