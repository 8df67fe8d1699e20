// @segment/analytics-node: base address, key and count to ids.
import { Analytics } from '@segment/analytics-node'

const [endpoint, writeKey, count] = process.argv.slice(2)
const analytics = new Analytics({ writeKey, host: endpoint, flushAt: 10, flushInterval: 100 })
const ids = []
for (let number = 0; number < count; number++) {
  analytics.track({ userId: `user-${number}`, event: 'Item Viewed', properties: { number } }, (error, context) => {
    if (error) throw error
    ids.push(context.event.messageId)
  })
}
await analytics.closeAndFlush({ timeout: 60_000 })
console.log(JSON.stringify(ids))
