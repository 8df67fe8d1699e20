"""Every outcome an event can have, and every reason a message can become a dead letter."""

from enum import StrEnum


class Disposition(StrEnum):
    """The one recorded outcome of an event (docs/events.md)."""

    STORED = "stored"
    STORED_ANONYMOUS = "stored_anonymous"
    NO_CONSENT = "no_consent"
    NO_DISCLOSED_VENDORS = "no_disclosed_vendors"
    WITHDRAWN = "withdrawn"
    ERASED = "erased"
    DUPLICATE = "duplicate"
    ID_COLLISION = "id_collision"
    BOT_EXCLUDED = "bot_excluded"
    INVALID = "invalid"
    OVERSIZE = "oversize"
    ORIGIN_REFUSED = "origin_refused"
    EXPIRED = "expired"
    DEAD = "dead"


class DropReason(StrEnum):
    """Why an accepted event has no row of its own; each drop is counted under exactly one of these."""

    NO_CONSENT = "no_consent"
    NO_DISCLOSED_VENDORS = "no_disclosed_vendors"
    WITHDRAWN = "withdrawn"
    ERASED = "erased"
    DUPLICATE = "duplicate"
    BOT_EXCLUDED = "bot_excluded"
    INVALID = "invalid"
    OVERSIZE = "oversize"
    ORIGIN_REFUSED = "origin_refused"
    EXPIRED = "expired"


DROP_REASON_MEANING: dict[DropReason, str] = {
    DropReason.NO_CONSENT: "the person did not agree to measurement, or the site drops events without a choice",
    DropReason.NO_DISCLOSED_VENDORS: "a TC string made since 1 March 2026 that does not say whom the person was shown:"
    " no consent by the rules of TCF 2.3, whatever the person chose (docs/consent.md)",
    DropReason.WITHDRAWN: "the visitor withdrew an earlier choice",
    DropReason.ERASED: "the subject asked to be erased",
    DropReason.DUPLICATE: "a copy of the same site, name and id was stored before, within the window",
    DropReason.BOT_EXCLUDED: "the site's policy leaves this bot out",
    DropReason.INVALID: "the event cannot be read, or says something impossible",
    DropReason.OVERSIZE: "the event is too large for a pack",
    DropReason.ORIGIN_REFUSED: "the event came from a page the site did not declare",
    DropReason.EXPIRED: "the event is older than the site's retention",
}


class RefusalReason(StrEnum):
    """Why the edge did not take a request or an event; these counts travel in raw packs, beside `accepted`."""

    INVALID = "invalid"
    OVERSIZE = "oversize"
    ORIGIN_REFUSED = "origin_refused"
    UNKNOWN_KEY = "unknown_key"
    RATE_LIMITED = "rate_limited"
    BAD_SIGNATURE = "bad_signature"
    UNAVAILABLE = "unavailable"
    CLICK_LOST = "click_lost"


REFUSAL_REASON_MEANING: dict[RefusalReason, str] = {
    RefusalReason.INVALID: "the request or the event cannot be read, or says something impossible",
    RefusalReason.OVERSIZE: "the body, the query or the event is too large",
    RefusalReason.ORIGIN_REFUSED: "it came from a page the site did not declare; its sender was answered as any other",
    RefusalReason.UNKNOWN_KEY: "no site has this key",
    RefusalReason.RATE_LIMITED: "its network or its site key sent too many at once: 429",
    RefusalReason.BAD_SIGNATURE: "the signature does not fit, or is older than 5 minutes: 401; a damaged link: 400",
    RefusalReason.UNAVAILABLE: "neither Kafka nor the spool had room: 503",
    RefusalReason.CLICK_LOST: "the same at a mail's click: its person was sent on to the page, the click is not kept",
}


class DeadReason(StrEnum):
    """Why nobody could read a message."""

    NOT_A_PACK = "not_a_pack"
    UNKNOWN_SCHEMA = "unknown_schema"
    UNREADABLE = "unreadable"
    UNEVEN_COLUMNS = "uneven_columns"
    NO_KEY = "no_key"
    SEAL_BROKEN = "seal_broken"
    REFUSED_BY_CLICKHOUSE = "refused_by_clickhouse"
    NOT_AN_EVENT = "not_an_event"
    POISONOUS = "poisonous"


DEAD_REASON_MEANING: dict[DeadReason, str] = {
    DeadReason.NOT_A_PACK: "the bytes do not begin with Avro's single-object marker",
    DeadReason.UNKNOWN_SCHEMA: "the schema fingerprint is none of ours; a newer program may have written it",
    DeadReason.UNREADABLE: "the Avro body ends early or holds impossible values",
    DeadReason.UNEVEN_COLUMNS: "two columns of the pack differ in length",
    DeadReason.NO_KEY: "the key the pack is sealed under is not in the ring",
    DeadReason.SEAL_BROKEN: "the seal does not fit the content: changed or damaged on the way",
    DeadReason.REFUSED_BY_CLICKHOUSE: "ClickHouse could not read the pack",
    DeadReason.NOT_AN_EVENT: "a direct message that is no event: too large, no JSON, no site, an impossible field",
    DeadReason.POISONOUS: "three workers ended over it, of streams or of the loader; replay it after an update",
}
