#!/bin/sh
# A backend reports a purchase, and sends it again under the same id until the edge has accepted it.
# curl waits as long as Retry-After says after 408, 429, 503 and the like; other errors end it with the edge's words.
set -eu

edge_url=${EDGE_URL:-http://127.0.0.1:8000}
site_key=${SITE_KEY:-demo}
order=order-$(date +%s)-$$
purchase='{"event": "purchase", "id": "'$order'", "value": 19.90, "currency": "EUR", "user_id": "customer-7", "consent": "measurement"}'

# The key goes to standard input: everybody on a machine can read the arguments of its processes.
printf 'Authorization: Bearer %s\n' "$site_key" |
  curl --silent --show-error --fail-with-body --max-time 10 --retry 8 --retry-connrefused \
    --header @- --header 'Content-Type: application/json' --data "$purchase" "$edge_url/v1/events"
echo
