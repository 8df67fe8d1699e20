// A backend reports a purchase, and sends it again under the same id until the edge has accepted it. Node 18 or newer.
//
// An answer of 200 means that Kafka or the edge's spool has the event. Where no answer comes nobody knows, so the event
// is sent again; its id makes the second copy a duplicate, and the purchase one row.

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

const EDGE_URL = process.env.EDGE_URL ?? "http://127.0.0.1:8000";
const SITE_KEY = process.env.SITE_KEY ?? "demo";
const ATTEMPTS_MAX = 8;
const ANSWER_MS_MAX = 10_000;
const WAIT_MS_MAX = 30_000;
const TRY_AGAIN = [408, 429, 503]; // too slow, too many, no room: the same request may succeed later

// The result of each event, in order.
async function send(events) {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    let waitMs = 100 * 2 ** attempt;
    let answer;
    try {
      answer = await fetch(`${EDGE_URL}/v1/events`, {
        method: "POST",
        headers: { Authorization: `Bearer ${SITE_KEY}`, "Content-Type": "application/json" },
        body: JSON.stringify({ events }),
        signal: AbortSignal.timeout(ANSWER_MS_MAX),
      });
      if (answer.ok) return (await answer.json()).results;
    } catch {
      answer = undefined; // no connection, or no whole answer
    }
    if (answer && !TRY_AGAIN.includes(answer.status)) throw new Error(await answer.text());
    const retryAfter = answer?.headers.get("Retry-After");
    if (retryAfter) waitMs = 1000 * Number(retryAfter);
    await sleep(Math.min(waitMs, WAIT_MS_MAX));
  }
  throw new Error(`not accepted after ${ATTEMPTS_MAX} attempts`);
}

const order = `order-${randomUUID()}`;
const [result] = await send([
  {
    event: "purchase",
    id: order,
    ts: Date.now(),
    value: 19.9,
    currency: "EUR",
    user_id: "customer-7",
    consent: "measurement", // what this customer agreed to
    properties: { coupon: "may" },
  },
]);
console.log(`${order}: ${result.status}`);
if (result.status !== "accepted") {
  console.error(`${result.code}: ${result.message} ${result.detail}`);
  process.exitCode = 1;
}
