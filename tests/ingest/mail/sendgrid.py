"""What SendGrid sends of an open, and the key it signs with."""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.ingest.builders import NOW_MS

PRIVATE_KEY = ec.derive_private_key(4711, ec.SECP256R1())
PUBLIC_KEY = base64.b64encode(
    PRIVATE_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
).decode()
SECONDS = NOW_MS // 1000
PERSON = "jane.doe@shop.example"
OPENED = {
    "email": PERSON, "timestamp": SECONDS - 60, "event": "open", "sg_event_id": "sg-1", "sg_message_id": "m.1",
    "useragent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", "ip": "203.0.113.77",
    "category": ["spring", f"to {PERSON}"], "recipient": "r-81f3", "message": "spring-sale", "consent": "all",
}  # fmt: skip
