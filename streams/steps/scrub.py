"""Masks what looks like a mail or IP address, a phone or card number or a token in every text that is kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from schemas.event import Flag
from streams.columns.batch import CleanBatch, replace
from streams.columns.joined import Joined, compile_linear
from streams.columns.memo import Memo
from streams.steps.findings import ANYTHING, TOKEN_MASK, Finding, find_all, find_persons
from streams.steps.tokens import ANNOUNCED, mask_tokens, secret_names

# The budget of one event: what exceeds it is masked whole, flagged and counted, and never tried again.
TEXT_LENGTH_MAX = 40_000  # characters of one text; an edge takes 32,000 of properties and 4,000 of all else
VALUES_MAX = 2_000  # names and values of properties in which something is found; 1 µs each
DEPTH_MAX = 300  # of properties; an edge takes 254
WHOLE_MASK = "[masked]"
MASKED_WHOLE = int(Flag.MASKED_WHOLE)

# Nothing is found in a text without one of these; for a short one that is quicker to know than by RE2. A token has at
# least 16 characters, joints among them; a number with its country may have a separator behind each digit.
_SUSPICIOUS = re.compile(
    r"[%\\&@=]|[^\x00-\x7f]|\d{3}|\d\D\d\d|\d\.\d+\.\d|::|[\"'] *:|[A-Za-z0-9_.~+-]{16}|eyJ|\+\d|(?i:bearer) "
)
_SHORT = 200  # characters
_FEW = 8  # texts
# Numbers whose digits change when they are read: 4.111111111111111e15. They are looked at as they will be written.
_LONG = r"[0-9][0-9.]{12,}[.eE]"
_LONG_NUMBER = compile_linear(_LONG)
_ANY = compile_linear(f"{ANYTHING}|{_LONG}|{ANNOUNCED}", captures=False)
_ANNOUNCED_TOKEN = compile_linear(ANNOUNCED)  # one look first: in most packs there is nothing
_LONG_NUMBER_MIN = 10**12  # a card has 13 digits at least
_DOTS_MAX = 2
_SEPARATORS = str.maketrans("", "", "-_.")

TEXT_COLUMNS = (
    "path", "query", "referrer_host", "host", "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content",
    "language", "currency",
)  # fmt: skip


def is_only_name(text: str) -> bool:
    """True for letters and digits, joined by -, _ or dots, that are not digits alone: no number, no mail address. Not
    for more than two dots, as an IP address has."""
    bare = text if text.isalnum() else text.translate(_SEPARATORS)
    return bare.isalnum() and not bare.isdigit() and text.count(".") <= _DOTS_MAX


def are_only_names(texts: Sequence[str]) -> bool:
    """Whether `is_only_name` is true of each. Of many it costs 0.4 µs a text, where it costs 0.6 to ask one by one."""
    joined = "\n".join(texts)
    if len(texts) < _FEW or joined.count(".") > _DOTS_MAX:
        return all(map(is_only_name, texts))
    bare = joined.replace("-", "").replace("_", "").replace(".", "").split("\n")
    return len(bare) == len(texts) and all(map(str.isalnum, bare)) and not any(map(str.isdigit, bare))


def names_person(text: str) -> bool:
    """True when an id looks like a mail or IP address, a phone or a card number. Tokens are what ids are made of."""
    return bool(those_naming_persons([text]))


def those_naming_persons(texts: Iterable[str]) -> set[str]:
    """Those of some ids that `names_person` is true of; also those too long to be looked at."""
    asked = [text for text in texts if text and not is_only_name(text)]
    if not asked:
        return set()
    long = {text for text in asked if len(text) > TEXT_LENGTH_MAX}
    looked_at = [text for text in asked if text not in long] if long else asked
    return long | {looked_at[place] for place in find_persons(looked_at)}


def scrub_text(text: str) -> str:
    """The text with masks where somebody or a secret could be recognised."""
    return scrub_all([text])[0]


def scrub_all(texts: Sequence[str]) -> list[str]:
    """`scrub_text` of each."""
    if len(texts) <= 5 and sum(map(len, texts)) <= _SHORT and not any(map(_SUSPICIOUS.search, texts)):
        return list(texts)
    scrubbed = [text if len(text) <= TEXT_LENGTH_MAX else WHOLE_MASK for text in texts]
    for place, findings in find_all(Joined(scrubbed)).items():
        scrubbed[place] = WHOLE_MASK if findings is None else _mask(scrubbed[place], findings)
    return scrubbed


def scrub_properties(text: str) -> str:
    """The same for a JSON object, in names and values; "" for what is no object or exceeds the budget."""
    return scrub_all_properties([text])[0] or ""


def scrub_all_properties(texts: Sequence[str]) -> list[str | None]:
    """`scrub_properties` of each; None instead of "" where the budget is exceeded."""
    scrubbed: list[str | None] = [None if len(text) > TEXT_LENGTH_MAX else text for text in texts]
    joined = Joined([text or "" for text in scrubbed])
    found: dict[int, list[Finding] | None] = {}
    looked_into: set[int] = set()
    if joined.still_encoded() or _ANY.search(joined.data):
        looked_into = {*joined.found(_LONG_NUMBER), *joined.found(_ANNOUNCED_TOKEN)}
        found = find_all(joined)
    objects: dict[int, dict[str, Any]] = {}
    for place, text in enumerate(scrubbed):
        if not text:
            continue
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError:
            value = None
        if not isinstance(value, dict):
            scrubbed[place] = ""
        elif "\\" in text or place in found or place in looked_into:
            objects[place] = value
    return _scrub_objects(scrubbed, objects, found) if objects else scrubbed


_known: Memo[str, str] = Memo(scrub_text, size_max=65_536)  # 65,536 x about 300 bytes = 20 MB at the most


def scrub_known(texts: Iterable[str]) -> Mapping[str, str]:
    """Text -> `scrub_text` of it, for these and others; what was asked lately is not asked again."""
    _known.make_room()
    new = [text for text in texts if text not in _known]
    if new:
        _known.learn(dict(zip(new, scrub_all(new), strict=True)))
    return _known


def scrub_texts(batch: CleanBatch) -> CleanBatch:
    """Mask every text column and the properties; flag the events of which something was masked whole."""
    given = {name: column for name in TEXT_COLUMNS if any(column := getattr(batch, name))}
    texts = set().union(*given.values())
    known = scrub_known(texts)
    columns: dict[str, Any] = {}
    if any(known[text] != text for text in texts):  # in most packs nothing is masked
        columns = {name: list(map(known.__getitem__, column)) for name, column in given.items()}
    whole: set[int] = set()
    for name, column in given.items() if columns or WHOLE_MASK in texts else ():
        scrubbed = columns.get(name, column)
        if WHOLE_MASK in scrubbed:
            whole.update(i for i, text in enumerate(scrubbed) if text == WHOLE_MASK)
    if any(batch.properties):
        filled = [i for i, text in enumerate(batch.properties) if text]
        properties = [""] * len(batch)
        for i, text in zip(filled, scrub_all_properties([batch.properties[i] for i in filled]), strict=True):
            properties[i] = text or ""
            if text is None:
                whole.add(i)
        columns["properties"] = properties
    if whole:
        columns["flags"] = [
            flags | MASKED_WHOLE if i in whole else flags for i, flags in enumerate(batch.flags)
        ]
    return replace(batch, **columns)


def _scrub_objects(
    scrubbed: list[str | None], objects: dict[int, dict[str, Any]], found: dict[int, list[Finding] | None]
) -> list[str | None]:
    """What is in these objects is looked at as it reads without escapes: the words of each as one text."""
    words = {place: None if found.get(place, ()) is None else _words(one) for place, one in objects.items()}
    places = [place for place, some in words.items() if some is not None]
    masks = find_all(Joined(["\n".join(words[place] or ()) for place in places]))
    findings_of = dict(zip(places, (masks.get(n, []) for n in range(len(places))), strict=True))
    for place, value in objects.items():
        findings, some = findings_of.get(place), words[place]
        if findings is None or some is None:
            scrubbed[place] = None
        else:
            secret, announcing = secret_names(some)
            if findings or secret or announcing:
                changed = _mask_words(some, findings)
                names = _Names(changed, secret, announcing)
                scrubbed[place] = orjson.dumps(_rebuild(value, names)).decode()
    return scrubbed


def _words(value: dict[str, Any]) -> list[str] | None:
    """The names, texts and long numbers of properties, each once; None for more than the budget."""
    words: dict[str, None] = {}
    level: list[Any] = [value]
    count = 0
    for _ in range(DEPTH_MAX):
        deeper: list[Any] = []
        for one in level:
            if isinstance(one, str):
                words[one] = None
            elif isinstance(one, dict):
                words |= dict.fromkeys(one)
                deeper += one.values()
                count += len(one)
            elif isinstance(one, list):
                deeper += one
            elif isinstance(one, int | float) and abs(one) >= _LONG_NUMBER_MIN:
                words[repr(one)] = None
        count += len(deeper)
        if count > VALUES_MAX:
            return None
        if not deeper:
            return list(words)
        level = deeper
    return None


def _mask_words(words: Sequence[str], findings: Sequence[Finding]) -> dict[str, str]:
    """Word -> masked word, for those in which something was found when they stood one behind the other."""
    changed: dict[str, str] = {}
    left = iter(findings)
    finding = next(left, None)
    start = 0
    for word in words:
        mine = []
        while finding is not None and finding.start < start + len(word):
            mine.append(Finding(finding.start - start, finding.end - start, finding.mask))
            finding = next(left, None)
        if mine:
            changed[word] = _mask(word, mine)
        start += len(word) + 1
    return changed


class _Names(NamedTuple):
    changed: dict[str, str]  # word -> masked word
    secret: set[str]  # names whose value is a secret
    announcing: set[str]  # names behind which a token is one


def _rebuild(value: Any, names: _Names, within: int = 0) -> Any:
    """The value with masks. within: 2 below a secret's name, 1 below one that announces a token, else 0."""
    changed = names.changed
    match value:
        case str():
            if within == _SECRET and value:
                return TOKEN_MASK
            masked = changed.get(value, value)
            return mask_tokens(masked, TOKEN_MASK) if within else masked
        case dict():
            return {
                changed.get(name, name): _rebuild(one, names, max(within, _depth(name, names)))
                for name, one in value.items()
            }
        case list():
            return [_rebuild(one, names, within) for one in value]
        case bool() | None:
            return value
    if within == _SECRET and abs(value) >= _SECRET_NUMBER_MIN:
        return TOKEN_MASK
    return changed.get(repr(value), value)


_ANNOUNCED, _SECRET = 1, 2
_SECRET_NUMBER_MIN = 1_000  # a one-time code has four digits at least; less is a count of something


def _depth(name: str, names: _Names) -> int:
    return _SECRET if name in names.secret else _ANNOUNCED if name in names.announcing else 0


def _mask(text: str, findings: Iterable[Finding]) -> str:
    pieces: list[str] = []
    end = 0
    for one in findings:
        pieces += (text[end : one.start], one.mask)
        end = one.end
    return "".join((*pieces, text[end:]))
