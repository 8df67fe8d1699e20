"""Every column of ClickHouse in which something of an event is kept, in groups that a visitor of a site understands."""

from __future__ import annotations

from typing import NamedTuple


class Group(NamedTuple):
    """Columns that hold one kind of thing, under whatever table's name they stand."""

    title: str
    agreed: str  # what is kept of a person who agreed to measurement; as a visitor would put it
    otherwise: str  # what is kept of anybody else whose event is kept at all
    columns: dict[str, str]  # each with what it means to an analyst


NOTHING = "nothing"

GROUPS: tuple[Group, ...] = (
    Group(
        "What happened and when",
        "what was done, such as looking at a page or ordering, when, and for how much",
        "the same",
        {
            "event_id": "the sender's id, or one that was made; a keyed hash where it looks like a person's",
            "name": "name of the event, such as page_view or purchase",
            "kind": "page, custom, purchase, identify, mail or system",
            "occurred_at": "when it happened, by the sender's clock as far as it can be believed",
            "received_at": "when it arrived",
            "loaded_at": "when it was written here",
            "minute": "of occurrence in rollups, of receipt in counts of what was not kept",
            "value": "amount, exact to four decimals, in units of `currency`",
            "currency": "ISO 4217",
            "properties": "JSON of what else was said, without mail addresses, phone and card numbers and tokens",
        },
    ),
    Group(
        "The page",
        "the page, the site you came from, and listed parts of the address such as the name of a campaign",
        "the page and the site you came from, without any part of the address behind the question mark",
        {
            "host": "host of the page",
            "path": "path of the page, scrubbed",
            "query": "listed query keys of the page (`query_keys`)",
            "referrer_host": "host of the page before",
            "channel": "how the visit came about, worked out of referrer and campaign",
            "utm_source": "campaign: source",
            "utm_medium": "campaign: medium",
            "utm_campaign": "campaign: name",
            "utm_term": "campaign: search term",
            "utm_content": "campaign: which link or picture",
        },
    ),
    Group(
        "The device",
        "browser with its version, operating system, kind of device, language",
        "browser without its version, kind of device, language without the country",
        {
            "browser": "family and major version; without consent the family alone",
            "os": "operating system; empty without consent",
            "device": "desktop, mobile, tablet, bot or other",
            "language": "as the browser asks for it; without consent the language alone",
        },
    ),
    Group(
        "The place",
        "the network of the address, cut so that it is shared by hundreds (IPv4 /24, IPv6 /48)",
        NOTHING,
        {
            "ip_network": "the address cut to /24 or /48; empty without consent",
            "country": "ISO 3166-1; empty, as nothing fills it yet",
        },
    ),
    Group(
        "Who",
        "numbers made from a random name in a cookie, or from the site's own name of you, that cannot be turned back",
        NOTHING,
        {
            "visitor": "keyed hash of the visitor, 32 hex digits; empty for nobody, so never one person",
            "user": "keyed hash of the site's own id of a person",
            "session": "keyed hash of a visit",
            "visitors": "state of a count of distinct visitors; names nobody",
        },
    ),
    Group(
        "Your choice",
        "what was agreed to, and by which rules it was read",
        "that there was no agreement, and by which rules that was decided",
        {
            "basis": "consented, anonymous or contract",
            "purposes": "what was agreed to, by comma",
            "rules_version": "version of the rules that decided",
        },
    ),
    Group(
        "Whether it was a machine",
        "a score from what the browser and the network say",
        "the same",
        {
            "bot_score": "0 to 100",
            "bot_signals": "the signals behind the score",
            "is_bot": "score of at least 70",
            "flags": "bits, see docs/events.md",
        },
    ),
    Group(
        "Bookkeeping and counts",
        "by which way an event came, and counts of events in which nobody stands",
        "the same",
        {
            "site": "name of the site",
            "source": "pixel, tag, server, email, log, direct or import",
            "protocol": "native, segment, snowplow and the like",
            "trust": "public or secret: by which key it came",
            "key": "keyed hash of site, name and id: tells copies apart, and nothing else can be read from it",
            "reason": "why an event was not kept, or why a request was refused",
            "origin_topic_id": "Kafka's id of the topic it came through",
            "origin_partition": "partition of that topic",
            "origin_offset": "place in that partition",
            "pack_id": "the pack it came in",
            "count": "number of events",
            "hits": "rows, bots included",
            "human": "rows that are not marked as bots",
            "uncertain": "the part of `human` with a bot score above 0",
            "bots": "rows marked as bots",
            "human_value": "value of `human`",
            "dropped": "how many events of a pack were not kept",
            "dead": "why nobody could read a pack",
        },
    ),
)

COLUMNS: dict[str, str] = {name: meaning for group in GROUPS for name, meaning in group.columns.items()}
