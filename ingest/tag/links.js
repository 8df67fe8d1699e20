// Follows a visitor to another domain of the same site: puts a signed token of the edge into the link that is clicked.
//
// t.js loads it where data-linked names hosts. The edge makes a token only for a visitor it has a cookie of, which there
// is only with consent, and only between hosts the site declared; it counts once, for two minutes.
((window, document) => {
  const options = document.currentScript.dataset;
  const base = document.currentScript.src.replace(/links\.js.*/, "");
  const hosts = options.linked.split(/[\s,]+/);
  const tokens = {}; // host -> {token, until}
  const FRESH_MS = 100e3; // a token counts for 120 s

  const anchor = (act) => {
    const one = act.target.closest && act.target.closest("a[href]");
    return one && hosts.includes(one.hostname) && one.hostname != location.hostname && one;
  };

  // As soon as somebody points at a link: when it is clicked there is no time to ask.
  const fetchToken = (act) => {
    const host = (anchor(act) || 0).hostname;
    if (!host || (tokens[host] && tokens[host].until > Date.now())) return;
    tokens[host] = { until: Date.now() + 2e3 }; // asked; not again for a moment
    fetch(base + "v1/link", {
      method: "POST",
      body: JSON.stringify({ k: options.key, to: host }),
      credentials: "include",
    })
      .then((answer) => answer.json())
      .then((said) => {
        if (said.token) tokens[host] = { token: said.token, until: Date.now() + FRESH_MS };
      })
      .catch(() => 0);
  };

  const decorate = (act) => {
    const link = anchor(act);
    const found = link && tokens[link.hostname];
    if (!found || !found.token || found.until < Date.now()) return;
    const plain = link.href;
    const to = new URL(plain);
    to.searchParams.set("_fp", found.token);
    link.href = to;
    delete tokens[link.hostname]; // it counts once
    setTimeout(() => (link.href = plain)); // the browser is on its way; a copied link has no token
  };

  for (const name of ["pointerover", "pointerdown", "focusin"]) document.addEventListener(name, fetchToken, true);
  for (const name of ["click", "auxclick"]) document.addEventListener(name, decorate, true);
})(window, document);
