"""Form bodies and options of the embedded ClickHouse's HTTP side."""

from __future__ import annotations

from email.message import Message
from urllib.parse import parse_qsl

from deploy.embedded.clickhouse.errors import ClickHouseError
from deploy.embedded.clickhouse.form import is_form, read_form
from deploy.embedded.clickhouse.request import read_options
from tests.fuzz.pieces import text_of

LENGTH_MAX = 4_000


def _part(name: bytes, content: bytes, file: bytes = b"") -> bytes:
    head = b'--b\r\nContent-Disposition: form-data; name="' + name + b'"' + file
    return head + b"\r\n\r\n" + content + b"\r\n"


_TABLE = _part(b"t", b"1\n", b'; filename="t"') + _part(b"t_structure", b"a UInt8") + b"--b--\r\n"
SEEDS = (
    b"b\nquery=SELECT+1\n" + _part(b"query", b"SELECT 1") + _TABLE,
    b"b\nt_types=UInt8,String&t_format=CSV\n" + _part(b"t", b"1", b"; filename=t") + b"--b--",
    b'"b\n\n' + _TABLE, b"b; charset=x\n\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!\r\n--b--",
    b"b\n\n--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n--b--\r\n--b--",
    b"b\n\n--b\r\nContent-Disposition: form-data; name*=utf-8''%ff\r\n\r\nx\r\n--b--",
    b"b\ncompress=1&param_x=1&1=2\n",
)  # fmt: skip
WORDS = (
    b"--b\r\n", b"--b--", b'Content-Disposition: form-data; name="', b'; filename="', b"\r\n\r\n", b"_structure",
    b"_types",
    b"_format", b"Content-Transfer-Encoding: base64", b"quoted-printable", b"x-uuencode", b"Content-Type: ",
    b"message/rfc822", b"multipart/mixed; boundary=", b"=?utf-8?q?", b"name*0*=",
)  # fmt: skip


def fuzz(data: bytes) -> None:
    """The first line is the boundary, the second the address, the rest the body."""
    boundary, _, rest = data.partition(b"\n")
    query, _, body = rest.partition(b"\n")
    headers = Message()  # as http.server's are
    headers["Content-Type"] = "multipart/form-data; boundary=" + boundary.decode("latin-1").replace("\r", "")
    assert is_form(headers)
    fields = parse_qsl(text_of(query), keep_blank_values=True)
    try:
        read, files = read_form(headers, iter([body[:7], body[7:]]))
        read_options([*fields, *read], headers, files)
    except ClickHouseError:
        return
