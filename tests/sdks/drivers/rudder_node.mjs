// @rudderstack/rudder-sdk-node: base address, key and count to ids.
import RudderAnalytics from '@rudderstack/rudder-sdk-node'

const [endpoint, writeKey, count] = process.argv.slice(2)
const analytics = new RudderAnalytics(writeKey, { dataPlaneUrl: endpoint, flushAt: 10, flushInterval: 100, logLevel: 'error' })
const ids = []
const delivered = []
for (let number = 0; number < count; number++) {
  const messageId = `${writeKey}-${number}` // the SDK makes one if there is none, and does not say which
  ids.push(messageId)
  delivered.push(new Promise((resolve, reject) => {
    analytics.track({ messageId, userId: `user-${number}`, event: 'Item Viewed', properties: { number } },
      (error) => error ? reject(error) : resolve())
  }))
}
await Promise.all(delivered)
console.log(JSON.stringify(ids))
process.exit(0)
