// @plausible-analytics/tracker: no ids, so each event has a page of its own.
import { init, track } from '/node_modules/@plausible-analytics/tracker/plausible.js'

export async function send({ endpoint, key, count }) {
  init({ domain: key, endpoint: `${endpoint}/api/event`, autoCapturePageviews: false, captureOnLocalhost: true })
  const pages = []
  for (let number = 0; number < count; number++) {
    const url = `https://shop.example/item/${number}`
    await new Promise((callback) => track('Item Viewed', { url, callback, props: { number: String(number) } }))
    pages.push(url)
  }
  return pages
}
export const scripts = []
