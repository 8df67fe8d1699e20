// @snowplow/browser-tracker.
export async function send({ endpoint, key, count }) {
  const { newTracker, trackStructEvent, flushBuffer } = window.snowplowBrowserTracking
  const ids = []
  newTracker('page', endpoint, {
    appId: key, bufferSize: 10, maxPostBytes: 10_000,
    plugins: [{ afterTrack: (payload) => ids.push(payload.eid) }],
  })
  for (let number = 0; number < count; number++) {
    trackStructEvent({ category: 'shop', action: 'view', label: `item-${number}`, value: number })
  }
  setInterval(() => flushBuffer(), 100) // it tries again only at the next event or flush
  while (ids.length < count) await new Promise((resolve) => setTimeout(resolve, 20))
  return ids
}
export const scripts = ['@snowplow/browser-tracker/dist/index.umd.min.js']
