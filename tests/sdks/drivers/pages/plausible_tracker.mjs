// plausible-tracker, the older client: no ids, so each event has a page of its own.
import Plausible from '/node_modules/plausible-tracker/build/module/index.js'

export async function send({ endpoint, key, count }) {
  const { trackEvent } = Plausible({ domain: key, apiHost: endpoint, trackLocalhost: true })
  const pages = []
  for (let number = 0; number < count; number++) {
    const url = `https://shop.example/item/${number}`
    await new Promise((callback) => trackEvent('Item Viewed', { callback, props: { number } }, { url }))
    pages.push(url)
  }
  return pages
}
export const scripts = []
