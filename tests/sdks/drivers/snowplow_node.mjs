// @snowplow/node-tracker by POST or GET: base address, key, count and method to ids.
import { buildStructEvent, newTracker } from '@snowplow/node-tracker'

const [endpoint, appId, count, eventMethod] = process.argv.slice(2)
const delivered = []
const tracker = newTracker(
  { namespace: 'driver', appId },
  { endpoint, eventMethod, bufferSize: eventMethod === 'post' ? 10 : 1, maxPostBytes: 5_000, onRequestSuccess: (batch) => delivered.push(...batch) },
)
const ids = []
for (let number = 0; number < count; number++) {
  const payload = tracker.track(buildStructEvent({ category: 'shop', action: 'view', label: `item-${number}`, value: number }))
  ids.push(payload.eid)
}
while (delivered.length < count) { // it tries again only at the next event or flush
  await tracker.flush()
  await new Promise((resolve) => setTimeout(resolve, 5))
}
console.log(JSON.stringify(ids))
