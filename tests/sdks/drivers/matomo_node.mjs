// matomo-tracker, one by one or in bulk: base address, key, count and mode to the addresses of the pages it told of.
// It never tries again and never reads an answer; the driver ends when each request has an answer or an error.
import { subscribe } from 'node:diagnostics_channel'
import MatomoTracker from 'matomo-tracker'

const [endpoint, siteId, count, mode] = process.argv.slice(2)
const matomo = new MatomoTracker(siteId, `${endpoint}/matomo.php`)
const pages = Array.from({ length: count }, (_, number) => ({
  url: `https://shop.example/item/${number}`, action_name: `Item ${number}`, uid: `user-${number}`,
}))
const requests = mode === 'bulk' ? Math.ceil(count / 10) : Number(count)
let ended = 0
const end = () => {
  if (++ended < requests) return
  console.log(JSON.stringify(pages.map((page) => page.url)))
  process.exit(0)
}
matomo.on('error', (what) => { if (typeof what === 'string') end() }) // a status is counted below, as an answer
subscribe('http.client.response.finish', end)

if (mode === 'bulk') {
  for (let start = 0; start < count; start += 10) matomo.trackBulk(pages.slice(start, start + 10))
} else {
  for (const page of pages) matomo.track(page)
}
