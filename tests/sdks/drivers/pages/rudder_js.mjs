// @rudderstack/analytics-js, the build that brings its plugins along; its configuration comes from the edge.
// Of events that wait it keeps 100 by default and forgets the oldest: 200 at once on a bad network need more.
export async function send({ endpoint, key, count }) {
  const { RudderAnalytics } = window.rudderanalytics
  const analytics = new RudderAnalytics()
  analytics.load(key, endpoint, { configUrl: endpoint, queueOptions: { maxItems: 1_000 }, logLevel: 'ERROR' })
  await new Promise((resolve) => analytics.ready(resolve))
  const sent = []
  for (let number = 0; number < count; number++) {
    sent.push(new Promise((resolve) => analytics.track('Item Viewed', { number }, (context) => resolve(context.messageId))))
  }
  return Promise.all(sent)
}
export const scripts = ['@rudderstack/analytics-js/dist/npm/modern/bundled/umd/index.js']
