"""Lines of access logs in every format, and an outbox that keeps what an import sends."""

from __future__ import annotations

import json
from collections.abc import Callable

SECRET = b"\x05" * 32
LINE = (
    b'203.0.113.7 - anna [17/May/2015:10:05:03 +0200] "GET /shop/item.html?id=3 HTTP/1.1" 200 203023 '
    b'"https://search.example/?q=\\"x\\"" "Mozilla/5.0 (X11) \\"odd\\" Agent"'
)
AGENT = "Mozilla/5.0 (X11; Linux x86_64)"
COMBINED = (
    '203.0.113.7 - anna [17/May/2015:10:05:03 +0200] "GET /a.html?x=1 HTTP/1.1" 200 512 '
    f'"https://from.example/" "{AGENT}"'
)
NGINX = {
    "time_iso8601": "2015-05-17T10:05:03+02:00", "remote_addr": "203.0.113.7", "remote_user": "anna",
    "request": "GET /a.html?x=1 HTTP/1.1", "status": "200", "body_bytes_sent": "512", "host": "shop.example",
    "http_referer": "https://from.example/", "http_user_agent": AGENT,
}  # fmt: skip
CADDY = {
    "level": "info", "ts": 1_431_849_903.0, "logger": "http.log.access.log0", "msg": "handled request",
    "request": {
        "remote_ip": "198.51.100.1", "remote_port": "4711", "client_ip": "203.0.113.7", "proto": "HTTP/2.0",
        "method": "GET", "host": "shop.example", "uri": "/a.html?x=1",
        "headers": {
            "User-Agent": [AGENT], "Referer": ["https://from.example/"], "Accept-Language": ["de"], "Sec-Gpc": ["1"],
        },
        "tls": {"resumed": False},
    },
    "bytes_read": 0, "user_id": "anna", "duration": 0.0009, "size": 512, "status": 200, "resp_headers": {},
}  # fmt: skip
CLOUDFRONT = (
    "2015-05-17\t08:05:03\tFRA2\t512\t203.0.113.7\tGET\td1.cloudfront.net\t/a.html\t200\thttps://from.example/\t"
    "Mozilla/5.0%20(X11;%20Linux%2520x86_64)\tx=1\tsession=secret\tHit\tSOX4xw==\tshop.example\thttps\t23"
)
ALB = (
    "h2 2015-05-17T08:05:03.000000Z app/my-lb/50dc 203.0.113.7:2817 10.0.0.66:9000 0.000 0.002 0.000 200 200 34 512 "
    f'"GET https://shop.example:443/a.html?x=1 HTTP/2.0" "{AGENT}" ECDHE-RSA-AES128 TLSv1.2 arn:aws:tg/1 '
    '"Root=1-58337262" "shop.example" "arn:aws:acm:1" 1 2015-05-17T08:05:02.998000Z "forward" "-" "-" '
    '"10.0.0.66:9000" "200" "-" "-"'
)
LINES = {
    "combined": COMBINED,
    "vhost_combined": f"shop.example:443 {COMBINED}",
    "common": COMBINED.partition(' "https')[0],
    "nginx-json": json.dumps(NGINX),
    "caddy": json.dumps(CADDY),
    "cloudfront": CLOUDFRONT,
    "alb": ALB,
}


class FakeOutbox:
    """Keeps what is sent, and reports it when it is polled; `refuses` says which packs fail."""

    def __init__(self, refuses: Callable[[int], bool] = lambda _: False, silent: bool = False) -> None:
        self.messages: list[bytes] = []
        self._waiting: list[tuple[int, Callable[[bool], None]]] = []
        self._refuses = refuses
        self._silent = silent

    def send(self, partition: int, message: bytes, on_delivery: Callable[[bool], None]) -> None:
        self._waiting.append((len(self.messages), on_delivery))
        self.messages.append(message)

    def poll(self, timeout_s: float) -> bool:
        return bool(self._waiting) and not self._silent

    def settle(self) -> None:
        if not self._silent:
            waiting, self._waiting = self._waiting, []
            for number, on_delivery in waiting:
                on_delivery(not self._refuses(number))

    def fetch_partition_count(self, timeout_s: float) -> int:
        return 2
