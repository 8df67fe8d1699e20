// The consent dialog, or the ear for a dialog the page has already. At most 4 kB, gzipped.
//
// t.js loads it. Words, purposes and where the notice is can be said by the page before:
//   window.fairpixelTexts = {title: "...", accept: "...", notice: "/privacy", version: "2026-11"}
// data-link="none" on the tag leaves out the small button; call fairpixelConsent.open() from a link of your own.
//
// The choice of this browser is kept in localStorage, after it is made and never before, and is told to the edge once.
((window, document) => {
  const options = document.currentScript.dataset;
  const base = document.currentScript.src.replace(/consent\.js.*/, "");
  const STORE = "fairpixel_consent";
  const MONTHS_13 = 34128e6; // ms; then the question is asked again
  const optedOut = navigator.globalPrivacyControl === true;
  const texts = {
    title: "May we measure how this site is used?",
    intro:
      "We would like to count visits and see what works, so that we can make this site better. " +
      "It is your choice. The site works the same if you refuse, and you can change your mind at any time.",
    optedOut: "Your browser asks sites not to sell or share data about you. We follow that.",
    necessary: ["Necessary", "Remembers this choice in your browser. Always on."],
    measurement: ["Measurement", "Counts visits and purchases. Sets one cookie, for 13 months at most."],
    personalisation: ["Personalisation", "Adapts what you see here to your earlier visits."],
    marketing: ["Marketing", "Finds out which advertisements brought you here, and shows you fitting ones."],
    accept: optedOut ? "Accept measurement" : "Accept all",
    refuse: "Refuse all",
    save: "Save choice",
    link: "Privacy choices",
    more: "Privacy notice",
    notice: "",
    version: "1",
    ...window.fairpixelTexts,
  };
  const known = ["measurement", "personalisation", "marketing"];
  const purposes = texts.purposes || known; // what is asked for
  let kept = read();
  let dialog;
  let link;

  if (window.fairpixelConsent) return;
  window.fairpixel =
    window.fairpixel ||
    function () {
      (fairpixel.q = fairpixel.q || []).push(arguments);
    };

  function read() {
    try {
      const found = JSON.parse(localStorage[STORE]);
      return Date.now() - found.at < MONTHS_13 ? found : {};
    } catch {
      return {};
    }
  }

  function keep(choice) {
    kept = choice;
    try {
      localStorage[STORE] = JSON.stringify(choice);
    } catch {
      // Storage is off: the choice holds for this page.
    }
  }

  // A choice: told to the tag, kept here, and kept by the edge as proof. by: "dialog" or the name of the other dialog.
  function decide(consent, by, signals) {
    consent = consent || "none";
    const release = () => kept.consent == consent && fairpixel("consent", { consent, ...signals });
    const grants = consent.includes("measurement");
    if (kept.consent != consent || kept.by != by || kept.version != texts.version)
      keep({
        consent,
        by,
        at: Date.now(),
        version: texts.version,
        id: Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36)).join(""),
        open: 1, // until the edge has it
      });
    if (!grants) release(); // a refusal holds at once, an agreement once the edge has set its cookie
    tell(signals).then(() => grants && release());
  }

  // The same id each time: the edge keeps one proof, however often an answer is lost.
  function tell(signals) {
    const { id, at, by, consent, version } = kept;
    if (!kept.open) return Promise.resolve();
    const body = {
      k: options.key,
      id,
      ts: at,
      consent,
      url: location.origin + location.pathname,
      text_version: version,
      by,
      page: options.page,
      link: options.arrived, // who comes over a link is known before the first cookie is set
      ...signals,
    };
    return fetch(base + "v1/consent", {
      method: "POST",
      body: JSON.stringify(body),
      keepalive: true,
      credentials: "include",
    })
      .then((answer) => {
        if (answer.status < 429 && kept.id === id) keep({ ...kept, open: 0 });
      })
      .catch(() => 0); // told again on the next page
  }

  function element(name, attributes, ...children) {
    const one = document.createElement(name);
    for (const key in attributes)
      key in one ? (one[key] = attributes[key]) : one.setAttribute(key, attributes[key]);
    one.append(...children);
    return one;
  }

  function button(text, act) {
    return element("button", { type: "button", textContent: text, onclick: act });
  }

  function build() {
    const boxes = {};
    const choose = (names) => {
      dialog.close();
      decide(names.join(), "dialog");
    };
    const rows = ["necessary", ...purposes].map((name) => {
      boxes[name] = element("input", { type: "checkbox", id: name, "aria-describedby": name + "-text" });
      return element(
        "p",
        {},
        boxes[name],
        element("label", { htmlFor: name, textContent: texts[name][0] }),
        element("span", { id: name + "-text", textContent: texts[name][1] })
      );
    });
    boxes.necessary.checked = boxes.necessary.disabled = true;
    dialog = element(
      "dialog",
      { role: "dialog", "aria-modal": "true", "aria-labelledby": "title", "aria-describedby": "intro" },
      element("h2", { id: "title", tabIndex: -1, textContent: texts.title }),
      element("p", { id: "intro", textContent: texts.intro + (optedOut ? " " + texts.optedOut : "") }),
      ...rows,
      element(
        "div",
        {},
        button(texts.refuse, () => choose([])),
        button(texts.save, () => choose(purposes.filter((name) => boxes[name].checked))),
        button(texts.accept, () => choose(purposes.filter((name) => !optedOut || name == known[0])))
      )
    );
    if (texts.notice) dialog.append(element("a", { href: texts.notice, textContent: texts.more }));
    // Escape closes the dialog and decides nothing. Tab stays inside.
    dialog.addEventListener("keydown", (key) => {
      if (key.key != "Tab") return;
      const stops = [...dialog.querySelectorAll("input:enabled,button,a")];
      const end = stops[key.shiftKey ? 0 : stops.length - 1];
      const now = dialog.getRootNode().activeElement;
      if (now == end || (key.shiftKey && !stops.includes(now))) {
        key.preventDefault();
        stops[key.shiftKey ? stops.length - 1 : 0].focus();
      }
    });
    dialog.addEventListener("close", () => {
      if (link) link.hidden = false;
    });
    link = options.link == "none" ? null : button(texts.link, open);
    const style = new CSSStyleSheet();
    style.replaceSync(
      "dialog{box-sizing:border-box;max-width:34em;width:calc(100% - 2em);max-height:90vh;overflow:auto;padding:1.2em;" +
        "border:1px solid #777;border-radius:8px;font:16px/1.45 system-ui,sans-serif;color:#111;background:#fff}" +
        "h2:focus{outline:0}h2{font-size:1.2em;margin:0 0 .5em}p{margin:.5em 0}" +
        "label{font-weight:600;padding:0 .5em}span{display:block;margin-left:1.9em}" +
        // Three answers of one size: in a row, or one below the other on a phone. None ever stands in a row by itself.
        "div{display:grid;grid:auto-flow 1fr/repeat(3,minmax(0,1fr));gap:.6em;margin:1em 0 .4em}" +
        "@media(max-width:32em){div{grid:auto-flow 1fr/1fr}}" +
        // All three are in sight from the start, whatever of the text is not; what has the focus is never below them.
        "@media(min-height:28em){div{position:sticky;bottom:-1.2em;padding:.5em 0 1.2em;background:#fff}" +
        "div:last-child{margin-bottom:-1.2em}dialog{scroll-padding-bottom:13em}}" +
        "button{font:inherit;cursor:pointer;color:#111;background:#eee;border:1px solid #555;border-radius:6px}" +
        "div button{padding:.7em;overflow-wrap:anywhere}button:focus-visible,input:focus-visible,a:focus-visible{outline:3px solid #06c;outline-offset:2px}" +
        ":host>button{position:fixed;left:8px;bottom:8px;z-index:9999;padding:.2em .6em;font:13px/1.5 system-ui,sans-serif}"
    );
    const host = element("div", { id: "fairpixel-consent" });
    const root = host.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [style];
    root.append(dialog);
    if (link) root.append(link);
    document.body.append(host);
    return boxes;
  }

  let boxes;

  function open() {
    boxes = boxes || build();
    for (const name of purposes) boxes[name].checked = (kept.consent || "").includes(name);
    if (dialog.open) return;
    if (link) link.hidden = true;
    dialog.showModal();
    dialog.querySelector("h2").focus(); // no button lies under the finger; a screen reader begins at the top
  }

  // The page's own dialog, where there is one: its word counts, and ours stays away.
  function listen() {
    const name = (granted) => known.filter((one, i) => granted[i] && purposes.includes(one)).join();
    if (window.__tcfapi) {
      __tcfapi("addEventListener", 2, (data, ok) => {
        if (!ok || data.eventStatus == "cmpuishown") return;
        if (data.gdprApplies === false) return fairpixel("consent", { gdpr: "0" });
        const given = (data.purpose && data.purpose.consents) || {};
        const all = (...ids) => ids.every((one) => given[one]);
        decide(name([all(1, 8), all(1, 5, 6), all(1, 3, 4)]), "tcf", { gdpr: "1", gdpr_consent: data.tcString });
      });
      return true;
    }
    if (window.__gpp) {
      __gpp("addEventListener", (change, ok) => {
        const ping = change.pingData || {};
        if (ok && ping.signalStatus == "ready")
          fairpixel("consent", { gpp: ping.gppString, gpp_sid: (ping.applicableSections || []).join() });
      });
      return true;
    }
    const layer = window.dataLayer || [];
    const hear = (entry) => {
      if (!entry || entry[0] != "consent") return false;
      const said = entry[2] || {};
      const yes = (...names) => names.every((one) => (one in said ? said : granted)[one] == "granted");
      if (entry[1] == "update") {
        decide(
          name([
            yes("analytics_storage"),
            yes("personalization_storage"),
            yes("ad_storage", "ad_user_data", "ad_personalization"),
          ]),
          "consent_mode"
        );
      }
      Object.assign(granted, said);
      return true;
    };
    const granted = {};
    const heard = layer.filter(hear).length > 0;
    if (heard) {
      const push = layer.push;
      layer.push = function (...entries) {
        entries.forEach(hear);
        return push.apply(layer, entries);
      };
    }
    return heard;
  }

  // Another tab may have decided meanwhile.
  function follow() {
    const now = read();
    if (now.by != "dialog" || now.id == kept.id) return;
    kept = now;
    if (dialog) dialog.close();
    fairpixel("consent", { consent: now.consent });
  }

  function start() {
    if (listen()) return;
    addEventListener("storage", follow);
    addEventListener("pageshow", follow);
    if (kept.by != "dialog" || kept.version != texts.version) return open();
    boxes = build();
    decide(kept.consent, "dialog");
  }

  window.fairpixelConsent = { open, get: () => kept.consent };
  document.readyState == "loading" ? document.addEventListener("DOMContentLoaded", start) : start();
})(window, document);
