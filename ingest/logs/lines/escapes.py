"""Texts as a server wrote them → as a client sent them: escapes undone, targets in the characters of RFC 3986.

nginx writes a byte below 32 or above 126, a quote and a backslash as `\\xHH` (ngx_http_log_module, escape=default);
Apache those that cannot be printed, and a backslash before quotes and backslashes (mod_log_config). Each is one byte;
neighbours make UTF-8. A target is given with `%HH` for all of these, so that a page is one path, however it was logged.

Lines are decoded with `surrogateescape`, and only here do bytes that are no UTF-8 come to light: `%HH` in a target,
U+FFFD elsewhere.
"""

from __future__ import annotations

import re

_ESCAPE = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_HEX = re.compile(rb"\\x([0-9A-Fa-f]{2})")
_MEANT = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"v": b"\v", b'"': b'"', b"\\": b"\\"}
_NOT_OF_A_TARGET = re.compile(
    rb"[^!#-\[\]-~ ]"
)  # a space stays: clients send it, and servers log it as it is


def plain_text(text: str) -> str:
    """What a client sent, of a field of nginx's or Apache's log."""
    if text.isascii() and "\\" not in text:
        return text
    return _unescape(bytes_of(text)).decode("utf-8", "replace")


def plain_target(text: str) -> str:
    """The same of a request's target."""
    return text if is_plain(text) else _encode_target(_unescape(bytes_of(text)))


def json_text(text: str) -> str:
    """The same of a text of a JSON log: nginx's default escape stands in such ones too, or was escaped once more."""
    if text.isascii() and "\\" not in text:
        return text
    return _unescape_hex(bytes_of(text)).decode("utf-8", "replace")


def json_target(text: str) -> str:
    """The same of a target of a JSON log."""
    return text if is_plain(text) else _encode_target(_unescape_hex(bytes_of(text)))


def whole_text(text: str) -> str:
    """A text without the traces of bytes that are no UTF-8; its backslashes are its own."""
    return text if text.isascii() else bytes_of(text).decode("utf-8", "replace")


def whole_target(text: str) -> str:
    """A target whose backslashes are its own."""
    return text if is_plain(text) else _encode_target(bytes_of(text))


def bytes_of(text: str) -> bytes:
    """The bytes that a text was decoded from with `surrogateescape`; a surrogate of another origin is replaced."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def json_escapes(line: bytes) -> bytes:
    """A line of JSON with `\\xHH`, which JSON has not (RFC 8259, section 7), in its own escapes."""
    return _ESCAPE.sub(lambda found: _in_json(int(found[1], 16)) if found[1] else found[0], line)


def _in_json(byte: int) -> bytes:
    if byte in b'"\\':
        return b"\\" + bytes([byte])
    return b"\\u%04x" % byte if byte < 32 else bytes([byte])


def is_plain(text: str) -> bool:
    """Whether a target needs none of this."""
    return "\\" not in text and text.isascii() and text.isprintable()


def _unescape(text: bytes) -> bytes:
    def meant(found: re.Match[bytes]) -> bytes:
        return bytes([int(found[1], 16)]) if found[1] else _MEANT.get(found[2], found[0])

    return _ESCAPE.sub(meant, text)


def _unescape_hex(text: bytes) -> bytes:
    return _HEX.sub(lambda found: bytes([int(found[1], 16)]), text)


def _encode_target(target: bytes) -> str:
    return _NOT_OF_A_TARGET.sub(lambda found: b"%%%02X" % found[0][0], target).decode("ascii")
