"""Every code an error or a rejected event of the edge may carry, and what it means; a test holds the list complete."""

from __future__ import annotations

from collections.abc import Mapping

CODE_MEANING: Mapping[str, str] = {
    "missing_field": "a field that an event needs is not there",
    "invalid_field": "a field cannot be read; detail says what was expected",
    "oversize": "the event's properties are too large; its neighbours are kept",
    "time_out_of_range": "a time said with the secret key cannot be true: seconds for milliseconds, or a broken clock",
    "fingerprinting_refused": "a field that only tells machines apart: canvas, fonts, plugins, battery",
    "not_an_event": "something that is no JSON object stands where an event should",
    "invalid_json": "this event is no JSON; its neighbours are kept",
    "unreadable_body": "nothing of the body can be read",
    "body_too_large": "the body is larger than the bounds, as sent or after decompression, or holds too many events",
    "body_broken_off": "the body did not arrive whole, or not in time",
    "unknown_encoding": "a Content-Encoding other than gzip, deflate or zstd",
    "unknown_format": "a format of CloudEvents other than JSON",
    "unlisted_schema": "a Snowplow payload under a schema that is not its own",
    "recording_refused": "recordings of what people do on a page are not taken",
    "defect": "our own mistake; a direct message under it waits as a dead letter",
    "unknown_key": "no site has this key, or there is none",
    "secret_key_needed": "this address, or what a field says, is for secret keys",
    "rate_limited": "too many at once; Retry-After says when to send again",
    "signature_unreadable": "X-Fairpixel-Signature is not in the form that is expected",
    "signature_wrong": "the signature does not fit the body",
    "signature_expired": "the signature is older than five minutes, or from the future",
    "signature_without_key": "the site has no secret key to check a signature with",
    "signature_refused": "a webhook's signature does not fit",
    "damaged_link": "a mail's link was changed or cut off on its way",
    "target_refused": "a click may not lead there: the host is not declared and the target not signed",
    "unavailable": "the event cannot be kept at the moment; Retry-After says when to send again",
    "unknown_event": "nothing is known of this event (yet)",
    "history_unavailable": "ClickHouse does not answer, so decisions cannot be looked up; events are kept all the same",
    "head_too_large": "the line and the headers of a request are larger than the bounds; the connection is closed",
    "not_http": "what came is no HTTP/1.1 request; the connection is closed",
    "not_from_here": "the page is for those who run the edge; it is asked from its own machine, or at its own port",
    "not_found": "there is nothing at this address",
    "wrong_method": "the address does not take this method; Allow says which it takes",
}
