"""Which refusals of ClickHouse are about the data, and which about its disk or the client's own questions."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest

from sinks.warehouse.client import BlockUnreadable, HttpWarehouse, WarehouseAway, WarehouseError

AVRO = b"Code: 1001. DB::Exception: avro::Exception: EOF reached. (STD_EXCEPTION)"
DISK = (
    b"std::exception. Code: 1001, type: std::__1::__fs::filesystem::filesystem_error, "
    b"e.what() = filesystem error: in create_directories: No space left on device"
)


@pytest.fixture
def refusing() -> Iterator[list[bytes]]:
    """A server that refuses every insert with code 1001; the list: port, text, text to the first questions."""
    said = [b"", b"", b""]

    class Refusal(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            is_first = b"version()" in body or b"FROM system.settings" in body
            text = said[2] if is_first else said[1]
            if text or not is_first:
                self.send_response(500)
                self.send_header("X-ClickHouse-Exception-Code", "1001")
            else:
                self.send_response(200)
                text = b"26.9.1.1\tUTC\n" if b"version()" in body else b""
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

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
        warehouse.check("runs", b"pack")
    refusing[1] = AVRO
    with pytest.raises(BlockUnreadable):
        warehouse.check("runs", b"pack")


def test_a_refusal_of_the_clients_own_first_questions_says_nothing_of_the_data(
    refusing: list[bytes],
) -> None:
    warehouse = HttpWarehouse(f"http://127.0.0.1:{refusing[0].decode()}", "", "")
    refusing[2] = AVRO
    with pytest.raises(WarehouseAway) as refused:
        warehouse.rows("SELECT 1")
    assert refused.value.code == 1001
    assert not warehouse.answers


def test_the_text_of_a_refusal_holds_nothing_the_server_wrote(refusing: list[bytes]) -> None:
    warehouse = HttpWarehouse(f"http://127.0.0.1:{refusing[0].decode()}", "", "")
    for text in (AVRO, DISK):
        refusing[1] = text
        with pytest.raises(WarehouseError) as refused:
            warehouse.check("runs", b"pack")
        assert "exception" not in str(refused.value).lower()
        assert refused.value.code == 1001
