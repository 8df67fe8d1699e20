"""Which refusals of ClickHouse are about the data, and which about its disk."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest

from sinks.warehouse.client import BlockUnreadable, HttpWarehouse, WarehouseAway

AVRO = b"Code: 1001. DB::Exception: avro::Exception: EOF reached. (STD_EXCEPTION)"
DISK = (
    b"std::exception. Code: 1001, type: std::__1::__fs::filesystem::filesystem_error, "
    b"e.what() = filesystem error: in create_directories: No space left on device"
)


@pytest.fixture
def refusing() -> Iterator[list[bytes]]:
    """A server that refuses everything with code 1001; the list: port, text."""
    said = [b"", b""]

    class Refusal(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(500)
            self.send_header("X-ClickHouse-Exception-Code", "1001")
            self.send_header("Content-Length", str(len(said[1])))
            self.end_headers()
            self.wfile.write(said[1])

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusal)
    said[0] = str(server.server_address[1]).encode()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield said
    server.shutdown()
    server.server_close()


def test_a_disk_that_takes_nothing_never_condemns_a_pack(refusing: list[bytes]) -> None:
    warehouse = HttpWarehouse(f"http://127.0.0.1:{refusing[0].decode()}", "", "")
    refusing[1] = DISK
    with pytest.raises(WarehouseAway):
        warehouse.check(b"pack")
    refusing[1] = AVRO
    with pytest.raises(BlockUnreadable):
        warehouse.check(b"pack")
