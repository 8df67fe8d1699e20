// @segment/analytics-next: what it needs at its start comes from the edge too.
export async function send({ endpoint, key, count }) {
  const { AnalyticsBrowser } = window.AnalyticsNext
  const analytics = AnalyticsBrowser.load(
    { writeKey: key, cdnURL: endpoint },
    { integrations: { 'Segment.io': { apiHost: `${endpoint.replace('http://', '')}/v1`, protocol: 'http' } } },
  )
  const sent = []
  for (let number = 0; number < count; number++) sent.push(analytics.track('Item Viewed', { number }))
  return (await Promise.all(sent)).map((context) => context.event.messageId)
}
export const scripts = ['@segment/analytics-next/dist/umd/index.js']
