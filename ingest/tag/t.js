// The tag: page views, custom events, engaged time, scroll depth and outbound clicks in at most 1.5 kB, gzipped.
//
//   <script async src="https://edge.shop.example/t.js" data-key="shop"></script>
//
// data-consent  left out: the tag asks. It loads consent.js, which shows its dialog or listens to the page's own.
//               "all", "none" or purposes by comma: the page knows already. "anonymous": send without any choice, and
//               the edge keeps what the site's policy allows. "manual": wait for fairpixel('consent', ...).
// data-linked   further hosts of this site, by comma, that a visitor is followed to (loads links.js).
//
// Until a choice is known nothing is sent and nothing is stored: events wait in the page's memory, and go with it.
((window, document) => {
  const script = document.currentScript;
  const options = script.dataset;
  const base = script.src.replace(/t\.js.*/, "");
  const early = window.fairpixel || {};
  const id = () => Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36)).join("");
  const page = id(); // names the visitor until the edge's cookie does, so that a retry says the same; never stored
  let queue = [];
  let consent; // undefined: not known yet; false: measurement is denied; else the signals, as they go into events
  let failures = 0;
  let timer;
  let link; // a token with which another domain of the site says who comes
  let url;
  let referrer = document.referrer;
  let scrolled = 0; // per cent of the page that was in view
  let engaged = 0; // ms
  let active; // visible and in focus
  let since = 0;

  if (early.v) return; // a second tag on the page

  const event = (name, more = {}) => {
    if (consent === false) return;
    queue.push({
      event: name,
      id: more.id || id(),
      ts: Date.now(),
      url,
      referrer,
      title: document.title,
      value: more.value,
      currency: more.currency,
      properties: more.props,
    });
    soon();
  };

  const soon = (wait = 20) => {
    clearTimeout(timer);
    timer = setTimeout(send, wait);
  };

  // leaving: the page may be gone in a moment, and nobody hears the answer.
  const send = (leaving) => {
    if (!consent || !queue[0]) return;
    const batch = queue.splice(0, 40); // browsers let 64 kB survive a page
    const body = JSON.stringify({
      k: options.key,
      page,
      link,
      sent_at: Date.now(),
      common: { context: { webdriver: navigator.webdriver, gpc: navigator.globalPrivacyControl }, ...consent },
      events: batch,
    });
    if (!leaving || !navigator.sendBeacon(base + "b", body))
      fetch(base + "b", { method: "POST", body, keepalive: true, credentials: "include" })
        .then((answer) => {
          if (/408|429|5../.test(answer.status)) throw 0;
          failures = 0;
        })
        .catch(() => {
          // Again under the same ids: what the edge has already is a duplicate there.
          if (consent && failures++ < 5) {
            queue = batch.concat(queue);
            soon(500 << failures);
          }
        });
    send(leaving);
  };

  const choose = (signals) => {
    const denied = consent === false;
    consent = signals.trim ? { consent: signals } : signals;
    if (consent.consent && !/all|measurement/.test(consent.consent)) {
      consent = false;
      queue = [];
    } else if (denied) {
      look();
      engaged = 0; // what was before the agreement is nobody's business
      view();
    }
    send();
  };

  const view = () => {
    leave();
    if (url) referrer = url;
    url = location.href;
    scrolled = 0;
    event("page_view");
  };

  const leave = () => {
    look();
    if (url && engaged > 9) event("engagement", { props: { engaged_ms: Math.round(engaged), scroll: scrolled } });
    engaged = 0;
  };

  const look = () => {
    const now = performance.now();
    const seen = (100 * (scrollY + innerHeight)) / document.documentElement.scrollHeight;
    scrolled = Math.max(scrolled, Math.min(100, Math.round(seen)));
    if (active) engaged += now - since;
    since = now;
    active = !document.hidden && document.hasFocus();
  };

  const hide = () => {
    leave();
    active = 0; // a page that goes is hidden twice
    send(1);
  };

  const moved = () => {
    if (url.split("#")[0] != location.href.split("#")[0]) view();
  };

  const clicked = (act) => {
    const marked = act.target.closest("[data-fp-event]");
    const anchor = act.target.closest("a[href]");
    const said = marked?.dataset;
    if (said && (marked.tagName == "FORM") == (act.type == "submit"))
      event(said.fpEvent, { id: said.fpId, value: said.fpValue, currency: said.fpCurrency });
    if (/^http/.test(anchor?.protocol) && anchor.host != location.host)
      event("outbound_click", { props: { to: anchor.host + anchor.pathname } });
  };

  const load = (name) => {
    const more = document.createElement("script");
    more.src = base + name;
    Object.assign(more.dataset, options, { page, arrived: link || "" });
    document.head.append(more);
  };

  const on = (target, names, act) => names.split(" ").map((name) => target.addEventListener(name, act, true));

  const start = () => {
    location.search.replace(/[?&]_fp=([\w-]+)&?/, (all, token) => {
      link = token;
      history.replaceState(history.state, "", location.href.replace(all, all[0]).replace(/[?&](#|$)/, "$1"));
    });
    view();
    window.fairpixel = (what, ...said) => ({ event, page: view, consent: choose })[what]?.(...said);
    fairpixel.v = 1;
    early.q?.map((call) => fairpixel(...call));
    ["pushState", "replaceState"].map((name) => {
      const original = history[name];
      history[name] = (...to) => {
        original.apply(history, to);
        setTimeout(moved); // after the page has set its title
      };
    });
    on(window, "popstate", moved);
    on(window, "scroll focus blur", look);
    on(window, "pagehide", hide);
    on(window, "pageshow", (shown) => shown.persisted && view()); // back from the browser's memory
    on(document, "click auxclick submit", clicked);
    on(document, "visibilitychange", () => (document.hidden ? hide() : look()));
    if (!options.consent) load("consent.js");
    else if (options.consent != "manual") choose(options.consent == "anonymous" ? "" : options.consent);
    if (options.linked) load("links.js");
  };

  document.prerendering ? on(document, "prerenderingchange", start) : start();
})(window, document);
