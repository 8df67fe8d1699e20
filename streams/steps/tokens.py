"""What opens an account to whoever has it: the words that announce it, and how it is told from the names of pages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from streams.columns.joined import Joined, compile_linear

TOKEN_LENGTH_MIN = 16  # characters; what is shorter is a secret only where a parameter's name says so
_RUN = r"A-Za-z0-9_.~+-"  # base64url, UUID, ULID, hex, and what signed ones are joined by
_WITHIN = r"[^\n\r\t \"'<>]"  # of one address

# Words of links that may be followed once or by one person, as services name them. Each is looked for within longer
# names too: resetPassword, verify-email, email_verification, invitationId.
_ANYWHERE = (
    r"token|verif|confirm|activat|invit|unsub|passw|passphrase|recover|forgot|impersonat|one[_-]?time|opt[_-]?out"
    r"|magic[_-]?link|log[_-]?in[_-]?link|api[_-]?key|access[_-]?key|auth[_-]?key|csrf|xsrf|sess(?:ion)?[_-]?id"
    r"|redeem|approv|validat|credential|pre-?authenticat|two[_-]?factor"
    r"|kennwort|r.{1,2}cksetz|best.{1,2}tig|abmeld|abbestell|einlad|aktivier|freischalt|initialis"
    r"|sabonn|sinscri|jeton|restablec|contrase|cancelar[_-]?suscri|conferma|disiscri|reimpost|recuper"
)
# These are also parts of other words (preset, obsession, author), so nothing may stand before them, or behind some.
_AT_START = (
    r"reset|magic|session|sso|otp|mfa|2fa|jwt|nonce|ticket|secret|oauth|auth(?:[^a-z]|entic|oriz|n[^a-z])"
    r"|log[_-]?in|log[_-]?on|sign[_-]?(?:in|up|on)|regist|accept|claim|unlock|change[_-]?e?-?mail"
    r"|e?-?mail[_-]?(?:change|update|link|preference)|manage[_-]?preference|preference|delete[_-]?account|bearer"
)
_PARAMETERS = r"[?&;#](?:code|state|key|hash|tk|tok|auth|sid|sig)="
WORD = (
    rf"(?:(?i:{_ANYWHERE})|(?:^|[^A-Za-z\x80-\x8A])(?i:{_AT_START})|[a-z](?:Reset|Magic|Session|Login|SignIn|Secret)"
    rf"|{_PARAMETERS})"
)
AFTER_WORD = rf"(?:{WORD}){_WITHIN}*[{_RUN}]{{{TOKEN_LENGTH_MIN}}}"

# Names whose value is a secret however short it is; as the last part of a name.
_SECRET_NAME = (
    r"(?:token|passw(?:or)?d|passwort|passphrase|passcode|secret|otp|jwt|csrf|xsrf|nonce|signature|credential"
    r"|authorization|(?:api|private|access|auth|secret)[_-]?key|(?:sess(?:ion)?|jsession|phpsess)[_-]?id|magic[_-]?link"
    r"|(?:verif[a-z]*|confirm[a-z]*|reset|activat[a-z]*|invit[a-z]*|unsub[a-z]*|auth|login)[_-]?(?:code|hash|link)"
    r"|(?:^|[^A-Za-z0-9])(?:sid|sig|pwd|pass|auth|jwt|otp|pin|tok))"
)
NAMED_SECRET = (
    rf"(?i:{_SECRET_NAME}s?)\]?(?:=([^&#;\n\r\t \"'<>]+)"
    r"|\\*[\"'][ \t]*:[ \t]*(?:[a-z]+ )?[\\\"'\[{ ]*([^\"'\\,}\]\n]+))"
    rf"|(?i:bearer)[ +]+([{_RUN}=/]{{8,}})"
)
# The same in JSON, where a name stands in quotes; its tokens may stand deeper.
ANNOUNCED = rf"{WORD}[^\"\n]*\"[ \t]*:[ \t]*(?:[\[{{]|\"[^\"\n]*[{_RUN}]{{{TOKEN_LENGTH_MIN}}})"

_SECRET_NAMES = compile_linear(rf"(?i:{_SECRET_NAME}s?)\]?\"")
_WORDS = compile_linear(WORD)
_RUNS = re.compile(rf"[{_RUN}]{{{TOKEN_LENGTH_MIN},}}".encode())
_UUID = re.compile(rb"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}")
_JOINTS = re.compile(rb"[_.~+-]+")
_HEXADECIMAL = re.compile(rb"[0-9A-Fa-f]{16,}")
_CAMEL_CASE = re.compile(rb"[A-Z]?[a-z]{2,}(?:[A-Z][a-z]{2,})*|[A-Z]+")
# A word or a number, or a word with a number before or behind it: 2nd, v2, Step2, COVID19, checkOut.
_PLAIN_PIECE = re.compile(rb"\A[0-9]*+(?:[A-Z]?[a-z]++(?:[A-Z][a-z]++)*+|[A-Z]*+)[0-9]*+\Z")
_UNSPEAKABLE = re.compile(rb"(?i:[b-df-hj-np-tv-xz]{6})")  # consonants in a row
_RUN_MAX = 1_000  # characters; nobody gives a page so long a name, and each piece costs 0.5 µs
_PIECE_MIN = 8  # characters of a piece that tells a token
_ODD_SHARE = 3  # from a third on a run of short pieces is one token
_VOWELS = b"aeiouyAEIOUY"
_VOWELS_MAX = 0.26  # of letters: a fifth of random ones are vowels, of words a third and more


def looks_random(piece: bytes) -> bool:
    """Whether a run of letters and digits is no word, no name and no plain number."""
    if len(piece) < _PIECE_MIN or not piece.isalnum():
        return False
    if piece.isdigit():
        return len(piece) >= TOKEN_LENGTH_MIN
    if not piece.isalpha() or _HEXADECIMAL.fullmatch(piece):
        return True
    if not _CAMEL_CASE.fullmatch(piece) or _UNSPEAKABLE.search(piece):
        return True
    vowels = len(piece) - len(piece.translate(None, _VOWELS))
    return len(piece) >= TOKEN_LENGTH_MIN and vowels <= _VOWELS_MAX * len(piece)


def token_start(run: bytes) -> int:
    """Where in a run of letters, digits and joints a token begins, -1 for none: the names of pages have words and
    short numbers between the joints."""
    if len(run) < TOKEN_LENGTH_MIN:
        return -1
    if len(run) > _RUN_MAX:
        return 0
    if found := _UUID.search(run):
        return found.start()
    start, odd, first_odd = 0, 0, -1
    for joint in (*_JOINTS.finditer(run), None):
        piece = run[start : joint.start() if joint else len(run)]
        if looks_random(piece):
            return start if first_odd < 0 else first_odd
        if piece and (not _PLAIN_PIECE.match(piece) or _UNSPEAKABLE.search(piece)):
            odd += len(piece)
            first_odd = start if first_odd < 0 else first_odd
        if joint:
            start = joint.end()
    return first_odd if odd * _ODD_SHARE >= len(run) else -1


def tokens_after(data: bytes, word_start: int, word_end: int, stop: int) -> Iterator[tuple[int, int]]:
    """Where tokens stand behind a word, up to `stop`. A run of its own is one whole; in one that begins with the word,
    what looks random is."""
    for run in _RUNS.finditer(data, word_start, stop):
        start, end = run.span()
        glued = start < word_end
        offset = token_start(data[word_end:end] if glued else data[start:end])
        if offset >= 0:
            yield (word_end + offset if glued else start), end


_END = re.compile(rb"[\n\r\t \"'<>]")
_FIRST_SIGN = re.compile(rb"[/=?&#]")
_NEXT_PARAMETER = re.compile(rb"[&#;]")


def end_of_reach(data: bytes, word_end: int) -> int:
    """How far a word speaks: to the end of its address, or of its parameter where it is the name of one."""
    found = _END.search(data, word_end)
    stop = found.start() if found else len(data)
    sign = _FIRST_SIGN.search(data, word_end - 1, stop)
    if sign and sign[0] == b"=" and (following := _NEXT_PARAMETER.search(data, sign.end(), stop)):
        return following.start()
    return stop


def secret_names(names: Sequence[str]) -> tuple[set[str], set[str]]:
    """Of names of properties, those whose value is a secret, and those behind which a token is one."""
    quoted = Joined([f'"{name}"' for name in names])
    secret = {names[place] for place in quoted.found(_SECRET_NAMES)}
    return secret, {names[place] for place in quoted.found(_WORDS)} - secret


def mask_tokens(text: str, mask: str) -> str:
    """A text that somebody announced as a token, with the mask in the place of each that it holds."""
    if len(text) < TOKEN_LENGTH_MIN:
        return text
    joined = Joined([text])
    pieces: list[str] = []
    end = 0
    for run in _RUNS.finditer(joined.data):
        if token_start(run[0]) >= 0:
            pieces += (text[end : joined.original(0, run.start())], mask)
            end = joined.original(0, run.end())
    return "".join((*pieces, text[end:])) if pieces else text
