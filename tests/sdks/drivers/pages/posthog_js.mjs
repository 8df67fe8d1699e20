// posthog-js, the build that loads nothing later.
import posthog from '/node_modules/posthog-js/dist/module.no-external.js'

export async function send({ endpoint, key, count }) {
  await new Promise((loaded) => posthog.init(key, {
    api_host: endpoint, loaded, opt_out_useragent_filter: true, // else it is silent in a driven browser
    rate_limiting: { events_per_second: 100, events_burst_limit: 1_000 },
    autocapture: false, capture_pageview: false, capture_pageleave: false, request_queue_config: { flush_interval_ms: 250 },
  }))
  const ids = []
  for (let number = 0; number < count; number++) {
    ids.push(posthog.capture('item_viewed', { number }).uuid)
    if (number % 40 === 39) await new Promise((resolve) => setTimeout(resolve, 300))
  }
  return ids
}
export const scripts = []
