"""A lean HTTP/1.1 load generator: keep-alive connections in one thread, one request in flight on each; prints JSON.

Run as `python -m tests.speed.http_load PORT CONNECTIONS SECONDS RATE KIND`,
with the site's key in BENCH_KEY; RATE 0 is as fast as it goes, KIND is
pixel, gif, beacon (2 events a request) or batch (100). With a rate the load is open: the moment a request is due does
not wait for the answers before it, as long as one of the connections is free. Prints how many requests were due,
answered with 200 and failed, latencies in ms, and how late (ms) those of a rate were sent.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import sys
import time
from collections.abc import Callable
from math import ceil, inf
from urllib.parse import quote

BATCH = 100
Build = Callable[[int], bytes]
RUN = os.urandom(4).hex()
PAGE = quote("https://shop.example/products/17/item.html?utm_source=mail&utm_campaign=c3", safe="")
AGENT = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"
)
HEADERS = f"Host: shop.example\r\nUser-Agent: {AGENT}\r\nAccept: image/*\r\nAccept-Language: en-GB\r\nReferer: https://shop.example/\r\n"
# A browser that chose before brings its cookie, and others that are not ours.
COOKIE = f"Cookie: theme=dark; fp_demo={RUN * 4}.{int(time.time()):x}.{int(time.time()):x}.mn; _session=1\r\n"


def pixel(key: str) -> Build:
    """One pixel with its own id and consent."""
    head = f"GET /p.gif?k={key}&e=page_view&consent=all&url={PAGE}&id=".encode()
    tail = f" HTTP/1.1\r\n{HEADERS}{COOKIE}\r\n".encode()
    return lambda n: b"%s%s%d&a=v%d%s" % (head, RUN.encode(), n, n % 50_000, tail)


def gif(_: str) -> Build:
    """The same request to a server that only answers with a GIF."""
    head = f"GET /p.gif?k=demo&e=page_view&consent=all&url={PAGE}&id=".encode()
    tail = f" HTTP/1.1\r\n{HEADERS}{COOKIE}\r\n".encode()
    return lambda n: b"%s%s%d&a=v%d%s" % (head, RUN.encode(), n, n % 50_000, tail)


def batch(key: str) -> Build:
    """A hundred JSON events, each with its own id."""
    one = (
        '{"event":"page_view","id":"%s%%d-%d","visitor_id":"v%%d","consent":"all","url":"https://shop.example/products/%d/item.html?utm_source=mail",'
        '"referrer":"https://www.search.example/","properties":{"position":%d}}'
    )
    body = '{"events":[' + ",".join(one % (RUN, i, i, i % 20) for i in range(BATCH)) + "]}"
    head = f"POST /v1/events HTTP/1.1\r\nHost: shop.example\r\nAuthorization: Bearer {key}"
    head += "\r\nContent-Type: application/json\r\nContent-Length: "

    def build(n: int) -> bytes:
        filled = (body % tuple(x for i in range(BATCH) for x in (n, (n * 31 + i) % 50_000))).encode()
        return head.encode() + b"%d\r\n\r\n" % len(filled) + filled

    return build


def beacon(key: str) -> Build:
    """What the tag sends when a page is left: two events that share consent and context."""
    body = (
        f'{{"k":"{key}","page":"{RUN}%d","sent_at":%d,"common":{{"context":{{"webdriver":false}},"consent":"all"}},"events":['
        f'{{"event":"page_view","id":"{RUN}a%d","ts":%d,"url":"https://shop.example/products/17/item.html","referrer":""}},'
        f'{{"event":"page_leave","id":"{RUN}b%d","ts":%d,"url":"https://shop.example/products/17/item.html","properties":{{"engaged_ms":4200,"scroll":80}}}}]}}'
    )
    head = f"POST /b HTTP/1.1\r\n{HEADERS}{COOKIE}Content-Type: text/plain;charset=UTF-8\r\nContent-Length: ".encode()

    def build(n: int) -> bytes:
        now_ms = int(time.time() * 1_000)
        filled = (body % (n, now_ms, n, now_ms, n, now_ms)).encode()
        return head + b"%d\r\n\r\n" % len(filled) + filled

    return build


class Connection:
    """One keep-alive connection with at most one request under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        self.sent_at = 0.0

    def send(self, request: bytes) -> None:
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> int | None:
        """The status once the answer is whole, None before."""
        data = self.socket.recv(65_536)
        if not data:
            raise ConnectionError("closed")
        self.received += data
        head, found, rest = self.received.partition(b"\r\n\r\n")
        if not found:
            return None
        lower = head.lower()
        at = lower.find(b"content-length:")
        length = int(lower[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(rest) < length:
            return None
        self.received = b""
        return int(head[9:12])


def run(port: int, connections: int, seconds: float, rate: float, build: Build) -> dict[str, float]:
    """Send until the time is up; a rate is kept over all connections together by due times."""
    selector = selectors.DefaultSelector()
    idle = [Connection(port) for _ in range(connections)]
    for one in idle:
        selector.register(one.socket, selectors.EVENT_READ, one)
    start = time.perf_counter()
    due = sent = done = failed = busy = 0
    latencies: list[float] = []
    late: list[float] = []
    lost: dict[str, int] = {}
    while True:
        now = time.perf_counter()
        over = now - start >= seconds
        if rate and not over:
            due = ceil((now - start) * rate)
        while idle and not over and (not rate or sent < due):
            idle.pop().send(build(sent))
            if rate:
                late.append((time.perf_counter() - start - sent / rate) * 1_000)
            sent, busy = sent + 1, busy + 1
        if over and not busy:
            break
        for ready, _ in selector.select(0.001 if rate else 0.1):
            connection: Connection = ready.data
            try:
                status = connection.receive()
            except ConnectionError as error:
                selector.unregister(connection.socket)
                connection.socket.close()
                if connection in idle:  # a server may close a connection that nobody uses
                    idle.remove(connection)
                else:
                    lost[str(error)] = lost.get(str(error), 0) + 1
                    failed, busy = failed + 1, busy - 1
                connection = Connection(port)
                selector.register(connection.socket, selectors.EVENT_READ, connection)
                idle.append(connection)
                continue
            if status is None:
                continue
            latencies.append((time.perf_counter() - connection.sent_at) * 1_000)
            done, failed = (done + 1, failed) if status == 200 else (done, failed + 1)
            idle.append(connection)
            busy -= 1
    if lost:
        print(f"connections lost: {lost}", file=sys.stderr)
    return {
        "due": due if rate else sent, "requests": done, "failed": failed,
        "seconds": time.perf_counter() - start,
        "p50_ms": percentile(latencies, 50), "p99_ms": percentile(latencies, 99),
        "late_p99_ms": percentile(late, 99) if rate else 0.0,
    }  # fmt: skip


def percentile(values: list[float], percent: int) -> float:
    """The value that so many per cent lie below; endless where there is none."""
    return sorted(values)[len(values) * percent // 100] if values else inf


if __name__ == "__main__":
    port_text, connections_text, seconds_text, rate_text, kind = sys.argv[1:]
    key_text = os.environ.get("BENCH_KEY", "demo")  # not an argument: those are for everybody to see
    builder = {"pixel": pixel, "gif": gif, "batch": batch, "beacon": beacon}[kind](key_text)
    print(
        json.dumps(run(int(port_text), int(connections_text), float(seconds_text), float(rate_text), builder))
    )
