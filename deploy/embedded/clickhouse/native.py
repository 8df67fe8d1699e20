"""Native answers as a client of a newer protocol reads them: client_protocol_version of 54454 and above.

The engine writes the format as for version 0. A newer client expects a head before each block and a byte before the
data of each column, which says that they are laid out as always. Where those belong is known only to who reads the
types, so the blocks are walked, column by column, and passed on as they come. See NativeWriter.cpp of ClickHouse.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import lru_cache

from deploy.embedded.clickhouse.errors import ClickHouseError
from deploy.embedded.clickhouse.lexer import read_tokens

# DBMS_MIN_REVISION_WITH_CUSTOM_SERIALIZATION. Who asks for less, as clickhouse-connect does, sees by the first answer
# that it is one of version 0.
VERSION_MIN = 54454
# BlockInfo: field 1, is_overflows, false; field 2, bucket_num, -1; end.
_BLOCK_HEAD = b"\x01\x00\x02\xff\xff\xff\xff\x00"
_PLAIN_COLUMN = b"\x00"
_DEPTH_MAX = 50

_WIDTHS = {
    name: width
    for width, names in {
        1: "Int8 UInt8 Bool Enum8 Nothing",
        2: "Int16 UInt16 Date Enum16 BFloat16",
        4: "Int32 UInt32 Float32 Date32 DateTime IPv4 Decimal32 Time",
        8: "Int64 UInt64 Float64 DateTime64 Decimal64 Time64",
        16: "Int128 UInt128 UUID IPv6 Decimal128",
        32: "Int256 UInt256 Decimal256",
    }.items()
    for name in names.split()
}
# Types that are other types by another name.
_ALIASES = {
    "Point": "Tuple(Float64, Float64)",
    "Ring": "Array(Point)",
    "LineString": "Array(Point)",
    "MultiPoint": "Array(Point)",
    "Polygon": "Array(Ring)",
    "MultiLineString": "Array(LineString)",
    "MultiPolygon": "Array(Polygon)",
}
_DIGITS_OF_WIDTH = ((9, 4), (18, 8), (38, 16), (76, 32))

Walk = Generator[None, None, None]


@dataclass(frozen=True, slots=True)
class Type:
    """How values of a type lie in a column: `kind` is one of the ways that `NativeWalker` knows."""

    kind: str
    width: int = 0
    inner: tuple[Type, ...] = ()

    @property
    def prefix_bytes(self) -> int:
        """What stands before all data of a column: the version of each dictionary in it."""
        return (8 if self.kind == "dictionary" else 0) + sum(one.prefix_bytes for one in self.inner)


class NativeWalker:
    """Native bytes of version 0 in, those of VERSION_MIN out; raises ClickHouseError 48 for types it cannot walk."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._at = 0  # may lie beyond what is held
        self._ready: list[bytes] = []
        self._walk = self._blocks()
        self._ways: dict[str, Callable[[Type, int], Walk]] = {
            "strings": self._strings,
            "nullable": self._nullable,
            "array": self._array,
            "tuple": self._tuple,
            "dictionary": self._dictionary,
        }

    def push(self, data: bytes) -> bytes:
        self._held += data
        next(self._walk)
        ready = b"".join(self._ready)
        self._ready.clear()
        return ready

    def _pass_on(self) -> None:
        """Give what lies before the place that was reached."""
        self._ready.append(bytes(self._held[: self._at]))
        passed = min(self._at, len(self._held))
        del self._held[:passed]
        self._at -= passed

    def _need(self, count: int) -> Walk:
        """Wait until `count` bytes are held from the place that was reached."""
        while len(self._held) < self._at + count:
            self._pass_on()
            yield

    def _insert(self, data: bytes) -> None:
        self._pass_on()
        self._ready.append(data)

    def _blocks(self) -> Walk:
        while True:
            yield from self._need(1)
            self._insert(_BLOCK_HEAD)
            column_count = yield from self._number()
            row_count = yield from self._number()
            for _ in range(column_count):
                yield from self._skip_text()
                written = yield from self._text()
                self._insert(_PLAIN_COLUMN)
                if row_count:
                    kind = read_type(written)
                    self._at += kind.prefix_bytes
                    yield from self._data(kind, row_count)

    def _number(self) -> Generator[None, None, int]:
        value = shift = 0
        while True:
            yield from self._need(1)
            byte = self._held[self._at]
            self._at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def _fixed(self) -> Generator[None, None, int]:
        """A number of 8 bytes."""
        yield from self._need(8)
        self._at += 8
        return int.from_bytes(self._held[self._at - 8 : self._at], "little")

    def _skip_text(self) -> Walk:
        size = yield from self._number()
        self._at += size

    def _text(self) -> Generator[None, None, str]:
        size = yield from self._number()
        yield from self._need(size)
        self._at += size
        return self._held[self._at - size : self._at].decode("utf-8", "replace")

    def _data(self, kind: Type, count: int) -> Walk:
        if kind.width:
            self._at += kind.width * count
        elif count:
            yield from self._ways[kind.kind](kind, count)

    def _strings(self, _kind: Type, count: int) -> Walk:
        held, at = self._held, self._at
        end = len(held)
        for _ in range(count):
            if at < end and (size := held[at]) < 0x80:
                at += 1 + size
                continue
            self._at = at  # a long text, or one that is not here yet
            yield from self._skip_text()
            at, end = self._at, len(held)
        self._at = at

    def _nullable(self, kind: Type, count: int) -> Walk:
        self._at += count
        yield from self._data(kind.inner[0], count)

    def _array(self, kind: Type, count: int) -> Walk:
        self._at += 8 * (count - 1)
        total = yield from self._fixed()  # the last of the offsets
        yield from self._data(kind.inner[0], total)

    def _tuple(self, kind: Type, count: int) -> Walk:
        for one in kind.inner:
            yield from self._data(one, count)

    def _dictionary(self, kind: Type, _count: int) -> Walk:
        flags = yield from self._fixed()
        if flags & 0x100:
            raise _unknown("LowCardinality with a shared dictionary")
        key_count = yield from self._fixed()
        yield from self._data(kind.inner[0], key_count)
        row_count = yield from self._fixed()
        self._at += row_count << (flags & 0xFF)


@lru_cache(maxsize=256)
def read_type(written: str, depth: int = 0) -> Type:
    """The layout of a type as the engine writes its name; raises ClickHouseError 48 for one that cannot be walked."""
    try:
        return _read_type(written, depth)
    except (ValueError, IndexError, KeyError, StopIteration, RecursionError):
        raise _unknown(written) from None


def _read_type(written: str, depth: int) -> Type:
    written = _ALIASES.get(written, written)
    name, _, rest = written.partition("(")
    if name in _WIDTHS:
        return Type("fixed", _WIDTHS[name])
    if name.startswith("Interval"):
        return Type("fixed", 8)
    if name == "String":
        return Type("strings")
    given = _split(rest[:-1])
    if name == "FixedString":
        return Type("fixed", int(given[0]))
    if name == "Decimal":
        return Type("fixed", next(width for digits, width in _DIGITS_OF_WIDTH if int(given[0]) <= digits))
    if depth > _DEPTH_MAX or not given:
        raise _unknown(written)
    inner = tuple(read_type(_without_name(one), depth + 1) for one in _inner_types(name, given, written))
    if name in ("Map", "Nested"):
        return Type("array", inner=(Type("tuple", inner=inner),))
    return inner[0] if name == "SimpleAggregateFunction" else Type(_KINDS[name], inner=inner)


_KINDS = {"Nullable": "nullable", "Array": "array", "Tuple": "tuple", "LowCardinality": "dictionary"}
# `name Type`, as in a tuple with names; a quoted name may hold anything.
_NAMED = re.compile(r"\A(?:`(?:[^`\\]|\\.)*+`|[A-Za-z_][A-Za-z0-9_]*+) (?=[A-Z])")


def _inner_types(name: str, given: list[str], written: str) -> list[str]:
    if name == "LowCardinality":  # its dictionary holds plain values
        return [
            given[0].removeprefix("Nullable(").removesuffix(")")
            if given[0].startswith("Nullable(")
            else given[0]
        ]
    if name == "SimpleAggregateFunction":
        return given[1:2]
    if name in _KINDS or name in ("Map", "Nested"):
        return given
    raise _unknown(written)


def _without_name(written: str) -> str:
    named = _NAMED.match(written)
    return written[named.end() :] if named is not None else written


def _split(text: str) -> list[str]:
    """What stands between commas, but for commas inside brackets and quotes."""
    cuts = [token.start for token in read_tokens(text) if token.text == "," and token.depth == 0]
    parts = zip([0, *(at + 1 for at in cuts)], [*cuts, len(text)], strict=True)
    return [text[start:end].strip() for start, end in parts if text[start:end].strip()]


def _unknown(written: str) -> ClickHouseError:
    return ClickHouseError(
        48,
        "NOT_IMPLEMENTED",
        f"Native with client_protocol_version for the type {written[:100]}: convert the column with toString, or ask "
        "for another format",
    )


def shape_of(format_name: str, version: int) -> Callable[[bytes], bytes]:
    """What the bytes of an answer go through for a client of protocol `version`, piece by piece."""
    if version >= VERSION_MIN and format_name.lower() == "native":
        return NativeWalker().push
    return bytes
