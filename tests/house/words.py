"""The words of the field as data: what our names do not say, and what they say instead.

Somebody who has run Kafka and ClickHouse elsewhere is at home in names that use the words known there.
"""

from __future__ import annotations

# A part of any name, as in `open_door` or `OpenDoor` -> the word to use.
PARTS = {
    "door": "endpoint",
    "doors": "endpoints",
    "station": "stage",
    "stations": "stages",
    "desk": "partition processor",
    "desks": "partition processors",
    "means": "dependencies",
    "cargo": "in-flight item",
    "letter": "dead letter",
    "letters": "dead letters",
    "bury": "send to the dead-letter queue",
    "buried": "sent to the dead-letter queue",
    "gain": "on_assign",
    "gained": "assigned",
    "lose": "on_revoke",
    "note": "checkpoint",
    "notes": "checkpoints",
    "intend": "write the intent",
    "asker": "request context",
    "sender": "credential",
    "senders": "credentials",
    "guard": "rate limiter, or allow-list",
    "said": "payload",
    "lane": "series",
    "lanes": "series",
    "keeper": "store",
    "book": "alert state",
    "trouble": "problem, or UserError",
    "todo": "hint",
    "lag": "consumer lag",
}

# A whole name -> the word to use. Their parts have another sense as well.
NAMES = {
    "Seen": "DeduplicationStore",
    "SeenLimits": "StoreLimits",
    "Tail": "RecoveredLog",
    "read_tail": "recover_log",
    "ForeignWrite": "Fenced",
    "Live": "ReloadableConfiguration",
    "Way": "destination, or resume point",
    "WayBack": "Recovery",
    "settle_row": "resolve_visitor",
    "made_id": "generated_id",
    "short_way": "fast_path",
}

# A name that has such a part in another sense -> that sense.
ALLOWED = {
    "block_means": "averages",
    "means": "averages",
    "letter": "of the alphabet",
    "LETTERS": "of the alphabet",
    "_LETTERS": "of the alphabet",
    "letters": "of the alphabet",
    "_LETTER": "of the alphabet",
    "_LETTER_OF": "of the alphabet",
    "FOREIGN_LETTER": "of the alphabet",
    "lag": "of an autocorrelation",
}

# Where such a name may stand, if it may not stand everywhere.
ALLOWED_IN = {
    "means": ("sinks/alerts/baseline.py",),
    "lag": ("sinks/alerts/baseline.py",),
    "letter": (
        "deploy/embedded/clickhouse/users.py",
        "ingest/protocols/segment/endpoint.py",
        "ingest/reading/cloudevents.py",
        "ingest/visitors/cookies.py",
    ),
    "letters": ("ingest/visitors/cookies.py",),
}
