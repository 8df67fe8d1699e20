"""The text of `--pattern` → an expression whose groups are named fields.

Three ways to name a field are read: nginx's variables (`$remote_addr`, as in log_format), Apache's directives (`%h`, as
in LogFormat) and our own names (`{ip}`), the last beside either. What is between fields stands in the lines as it is; a
space is any number of spaces and tabs. The expression is RE2's: linear in the line, whatever it holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import re2

from runtime.errors import UserError

SKIP = "_"
# What our own fields are called; beside them `_`, which is passed over.
FIELDS = (
    "time", "status", "request", "method", "path", "uri", "query", "bytes", "ip", "forwarded_for", "user_agent",
    "referrer", "user", "host", "scheme", "gpc", "dnt",
)  # fmt: skip
# nginx's variables: those of a field in the order in which they are asked. Any other is passed over.
NGINX: Mapping[str, str] = {
    "msec": "time", "time_iso8601": "time", "time_local": "time", "status": "status", "request": "request",
    "request_method": "method", "request_uri": "path", "uri": "uri", "document_uri": "uri", "args": "query",
    "query_string": "query", "body_bytes_sent": "bytes", "bytes_sent": "bytes", "remote_addr": "ip",
    "http_x_forwarded_for": "forwarded_for", "http_x_real_ip": "forwarded_for", "http_user_agent": "user_agent",
    "http_referer": "referrer", "remote_user": "user", "http_host": "host", "host": "host", "server_name": "host",
    "scheme": "scheme", "http_sec_gpc": "gpc", "http_dnt": "dnt",
}  # fmt: skip
# Apache's directives (mod_log_config), without modifiers, and the request's headers.
APACHE: Mapping[str, str] = {
    "t": "time", "s": "status", "r": "request", "m": "method", "U": "uri", "q": "query", "b": "bytes", "B": "bytes",
    "O": "bytes", "a": "ip", "h": "ip", "u": "user", "v": "host", "V": "host",
    **dict.fromkeys((*"lHfkpPLDTIXSRACioenxc", "^ti", "^to"), SKIP),
}  # fmt: skip
APACHE_HEADERS: Mapping[str, str] = {
    "host": "host", "user-agent": "user_agent", "referer": "referrer", "x-forwarded-for": "forwarded_for",
    "x-real-ip": "forwarded_for", "sec-gpc": "gpc", "dnt": "dnt",
}  # fmt: skip

_NGINX_FIELD = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
_APACHE_FIELD = re.compile(r"%(?:!?\d{3}(?:,\d{3})*)?[<>]?(?:\{([^{}]*)\})?(\^t[io]|[A-Za-z])[<>]?")
_OUR_FIELD = re.compile(r"\{([a-z_]+)\}")
_DIRECTIVE = re.compile(r"\s*(?:(log_format)\s+\S+(?:\s+escape=\w+)?|LogFormat)\s+")
_PIECE = re.compile(r"'([^']*)'|\"((?:[^\"\\]|\\.)*)\"")

_TIME = (
    r"\d{2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}:\d{2}(?:[.,]\d{1,9})? [+-]\d{4}"
    r"|\d{4}[-/]\d{2}[-/]\d{2}[T ]\d{2}:\d{2}:\d{2}(?:[.,]\d{1,9})?(?:Z|[+-]\d{2}:?\d{2})?"
    r"|[A-Z][a-z]{2,8}, \d{2}[ -][A-Z][a-z]{2}[ -]\d{2,4} \d{2}:\d{2}:\d{2} [A-Z]{3}|\d{9,19}(?:\.\d{1,9})?"
)
_QUOTED = r"(?:[^\"\\]|\\.)*"
# What a field is where it stands without quotes. The others end where what follows them begins.
_BARE: Mapping[str, str] = {
    "time": _TIME, "status": r"\d{3}|-", "bytes": r"\d+|-", "method": r"[A-Za-z]{1,20}|-", "ip": r"[^\s\",]*?",
    "forwarded_for": r"[^\s\",]*(?:,[ \t]*[^\s\",]+)*",
    "path": r"\S*?", "uri": r"[^\s?]*?", "query": r"\??\S*?", "host": r"[^\s/]*?", "scheme": r"[a-z]*",
}  # fmt: skip
# May follow another field with nothing between: its first character tells where the one before ends.
_BEGINS_ITSELF: Mapping[str, str] = {"path": r"/\S*?", "uri": r"/[^?\s]*?", "query": r"(?:\?\S*?)?"}
_IS_ARGS = frozenset({"$is_args", "${is_args}"})  # nginx's question mark, where there are any


@dataclass(frozen=True, slots=True)
class _Field:
    what: str
    written: str
    at: int  # in the pattern, from 0
    in_brackets: bool = False  # Apache's %t brings brackets of its own

    @property
    def end(self) -> int:
        return self.at + len(self.written)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern that was read: an expression, and which of its groups say what, in the order to ask."""

    expression: re2._Regexp[bytes]
    groups: Mapping[str, tuple[int, ...]]


def parse_pattern(text: str) -> Pattern:
    """Raises UserError, which shows the place in the pattern and says what would do."""
    text = _without_directive(text)
    fields = list(_find_fields(text))
    _check(text, fields)
    parts, at = [], 0
    for field, following in zip(fields, [*fields[1:], None], strict=True):
        parts.append(_literal(text[at : field.at]))
        rest = text[field.end : following.at if following else len(text)]
        parts.append(_expression(field, text[at : field.at], rest))
        at = field.end
    parts.append(_literal(text[at:]))
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.dot_nl = True
    options.log_errors = False
    return Pattern(re2.compile("".join(parts).encode("latin-1"), options), _groups(fields))


def _without_directive(text: str) -> str:
    """Of a whole `log_format` or `LogFormat` line, as it stands in a server's configuration, the format."""
    found = _DIRECTIVE.match(text)
    pieces = _PIECE.findall(text[found.end() :]) if found else []
    if found is None or not pieces:
        return text.strip()
    if found[1]:
        return "".join(single or double for single, double in pieces).strip()
    return re.sub(r"\\(.)", r"\1", pieces[0][1] or pieces[0][0]).strip()


def _find_fields(text: str) -> Iterator[_Field]:
    if re.search(r"\$[\w{]", text):
        sign, dialect = "$", _NGINX_FIELD
    elif "%" in text:
        sign, dialect = "%", _APACHE_FIELD
    else:
        sign, dialect = "", _OUR_FIELD
    at = 0
    while at < len(text):
        found = None
        if text[at] == sign:
            if text.startswith("%%", at):
                at += 2
                continue
            found = dialect.match(text, at)
            if found is None:
                raise _error(text, at, *_BROKEN[sign])
            yield _of_server(text, at, found, sign)
        elif text[at] == "{" and (found := _OUR_FIELD.match(text, at)):
            if found[1] not in (*FIELDS, SKIP):
                raise _error(
                    text, at, f"there is no field {found[0]}", f"Known are: {', '.join((*FIELDS, SKIP))}."
                )
            yield _Field(found[1], found[0], at)
        at = found.end() if found else at + 1


_BROKEN = {
    "$": (
        "a variable of nginx has a name of letters, digits and _",
        "Such as $remote_addr or ${remote_addr}.",
    ),
    "%": (
        "a directive of Apache ends with a letter, behind its name in braces if it has one",
        "Such as %h, %>s or %{Referer}i; a percent sign itself is %%.",
    ),
}


def _of_server(text: str, at: int, found: re.Match[str], sign: str) -> _Field:
    """The field that a variable of nginx or a directive of Apache is."""
    if sign == "$":
        return _Field(NGINX.get(found[1] or found[2], SKIP), found[0], at)
    name, directive = found.groups()
    if directive not in APACHE:
        raise _error(text, at, f"Apache has no directive %{directive}", f"Pass it over with {{{SKIP}}}.")
    if directive == "i":
        return _Field(APACHE_HEADERS.get((name or "").lower(), SKIP), found[0], at)
    if directive == "t" and name:
        is_fraction = name.removeprefix("end:").removeprefix("begin:") in ("msec_frac", "usec_frac")
        return _Field(SKIP if is_fraction else "time", found[0], at)
    if name and directive in "ap":
        return _Field(SKIP, found[0], at)  # the peer's, of a connection through a proxy
    return _Field(APACHE[directive], found[0], at, in_brackets=directive == "t")


def _check(text: str, fields: list[_Field]) -> None:
    """Raises UserError where the fields do not tell a request, or where one ends cannot be told."""
    for before, field in pairwise(fields):
        begins_itself = field.what in _BEGINS_ITSELF or field.in_brackets or field.written in _IS_ARGS
        if before.end == field.at and not begins_itself:
            raise _error(
                text,
                field.at,
                f"nothing stands between {before.written} and {field.written}, so nobody can tell where the first ends",
                "Write what stands there in the lines, such as a space.",
            )
    present = {field.what for field in fields}
    for needed, example in (
        ({"time"}, "$time_local, %t or {time}"),
        ({"status"}, "$status, %>s or {status}"),
        ({"request", "path", "uri"}, "$request, %r or {request}, or {method} and {path}"),
    ):
        if not needed & present:
            raise _error(
                text,
                len(text),
                f"it names no {' or '.join(sorted(needed, key=FIELDS.index))}",
                f"Add {example}.",
            )


def _error(text: str, at: int, what: str, hint: str) -> UserError:
    start = max(0, at - 50)
    shown = text[start : start + 100].replace("\n", " ").replace("\t", " ")
    lead = "..." if start else ""
    return UserError(
        f"--pattern, character {at + 1}: {what}.\n    {lead}{shown}\n    {' ' * (len(lead) + at - start)}^",
        hint,
    )


def _literal(text: str) -> str:
    """The expression of what stands between fields."""
    text = text.replace("%%", "%")
    return "".join(
        r"[ \t]+" if part.isspace() else re.escape(part.encode().decode("latin-1"))
        for part in re.split(r"(\s+)", text)
        if part
    )


def _expression(field: _Field, before: str, behind: str) -> str:
    if before.endswith('"') and behind.startswith('"'):
        return f"({_QUOTED})"
    bare = _BARE.get(field.what, ".*?")
    if field.written in _IS_ARGS:
        bare = r"\??"
    elif field.written == "%l":
        bare = r"\S*"
    elif not before and field.at:
        bare = _BEGINS_ITSELF.get(field.what, bare)
    return rf"\[({bare})\]" if field.in_brackets else f"({bare})"


def _groups(fields: list[_Field]) -> Mapping[str, tuple[int, ...]]:
    """For each field its groups. Of nginx's variables the one first in NGINX is asked first."""
    order = list(NGINX)
    places: dict[str, list[tuple[int, int]]] = {}
    for place, field in enumerate(fields):
        name = field.written.strip("${}")
        rank = order.index(name) if name in order else len(order)
        places.setdefault(field.what, []).append((rank, place))
    return {
        what: tuple(place + 1 for _, place in sorted(found)) for what, found in places.items() if what != SKIP
    }
