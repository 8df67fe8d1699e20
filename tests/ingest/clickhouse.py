"""A stand-in for ClickHouse's HTTP interface: answers the questions of `runtime.trace` from a few rows."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

ROW = {
    "event_id": "known", "site": "demo", "name": "signup", "source": "server", "basis": "consented", "is_bot": False,
    "occurred_at": "2026-11-22 10:00:00.000", "received_at": "2026-11-22 10:00:01.000",
    "loaded_at": "2026-11-22 10:00:02.000", "origin_partition": 1, "origin_offset": 7, "pack": "ab" * 16,
}  # fmt: skip
PLACE = {"origin_partition": 1, "origin_offset": 9, "loaded_at": "2026-11-22 10:00:03.000"}


class FakeClickHouse:
    """Knows one event of one site, by the id `known` of the site `demo`."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []  # parameters of each question
        self.status = 200
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                params = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
                sql = self.rfile.read(int(self.headers["Content-Length"])).decode()
                if "version()" in sql:
                    body = b"26.9.1.1\tUTC\n"
                elif "FROM system.settings" in sql:
                    body = b""
                else:
                    fake.asked.append(params)
                    body = b"".join(json.dumps(row).encode() + b"\n" for row in fake.rows(sql, params))
                self.send_response(fake.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def rows(self, sql: str, params: dict[str, str]) -> list[dict[str, Any]]:
        if "FROM progress" in sql:
            return [PLACE]
        asked = params.get("param_ids", "")
        if "FROM events" in sql and b"known".hex() in asked and params["param_site"] in ("demo", ""):
            return [ROW]
        return []

    def __enter__(self) -> FakeClickHouse:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
