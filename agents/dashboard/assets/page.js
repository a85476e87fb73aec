// The page is whole without this file. With it, the page follows the store: one stream brings the parts that changed,
// which are laid over those that stand here, so that focus, scrolling and selections stay where they are.
"use strict";
(() => {
  const root = document.documentElement;
  const link = document.getElementById("link");
  const words = document.getElementById("link-state");
  const more = document.getElementById("link-more");
  const banner = document.getElementById("banner");
  let last = new URLSearchParams(root.dataset.stream.split("?")[1]).get("from");
  let source, state, heard = 0;

  // What changed is marked and fades back by itself.
  const mark = (el, how) => {
    if (!el || el.closest("time")) return;
    if (el.hasAttribute(how)) { // begin anew; only this needs the page to be laid out at once
      el.removeAttribute(how);
      void el.offsetWidth;
    }
    el.setAttribute(how, "");
  };
  addEventListener("animationend", (e) => {
    if (e.animationName === "flash") e.target.removeAttribute("data-flash");
    if (e.animationName === "glow") e.target.removeAttribute("data-glow");
  });
  const glow = (el) => mark(el.closest(".card, .tile, .running, .note"), "data-glow");

  // morph makes one element say what another says, and touches nothing that is the same.
  const marks = new Set(["data-flash", "data-glow", "open"]); // what belongs to the page: flashes, and details that a person opened
  function morph(here, there) {
    if (here.isEqualNode(there)) return;
    if (here.nodeType === Node.TEXT_NODE) {
      if (here.nodeValue === there.nodeValue) return;
      const blank = !here.nodeValue.trim() && !there.nodeValue.trim();
      here.nodeValue = there.nodeValue;
      if (!blank) { mark(here.parentElement, "data-flash"); glow(here.parentElement); }
      return;
    }
    if (here.nodeName === "TIME" && here.dateTime === there.dateTime) return;
    for (const a of [...there.attributes]) if (here.getAttribute(a.name) !== a.value) here.setAttribute(a.name, a.value);
    for (const a of [...here.attributes]) if (!there.hasAttribute(a.name) && !marks.has(a.name)) here.removeAttribute(a.name);
    arrange(here, [...there.childNodes]);
  }

  // arrange gives an element these children, in this order, and keeps those that it has already.
  function arrange(el, wanted) {
    wanted.forEach((want, i) => {
      const at = el.childNodes[i];
      const same = want.id ? [...el.children].find((c) => c.id === want.id) : at;
      if (same && same.nodeName === want.nodeName && (want.id || !same.id)) {
        if (same !== at) el.insertBefore(same, at || null);
        morph(same, want);
      } else {
        el.insertBefore(want, at || null);
        if (want.nodeType === Node.ELEMENT_NODE) glow(want);
      }
    });
    while (el.childNodes.length > wanted.length) el.lastChild.remove();
  }

  const parse = (html) => {
    const t = document.createElement("template");
    t.innerHTML = html;
    return t.content.firstElementChild;
  };

  // lay puts news into the page. A panel names all of its items in their order whenever that is not what it was.
  function lay(news) {
    for (const [id, panel] of Object.entries(news.panels)) {
      const el = document.getElementById(id);
      if (!el) continue;
      const fresh = new Map(Object.entries(panel.items || {}).map(([k, html]) => [k, parse(html)]));
      if (!panel.order) {
        for (const [k, want] of fresh) { const have = document.getElementById(k); if (have) morph(have, want); }
        continue;
      }
      let at = el.firstChild;
      for (const k of panel.order) {
        const have = [...el.children].find((c) => c.id === k), want = fresh.get(k);
        const node = have || want;
        if (!node) continue;
        if (node !== at) el.insertBefore(node, at); else at = at.nextSibling;
        if (have && want) morph(have, want);
        if (!have) { mark(node, node.matches(".change") ? "data-flash" : "data-glow"); }
      }
      while (at) { const gone = at; at = at.nextSibling; gone.remove(); }
    }
    clock();
  }

  // collect lays news out once a frame, however often they come: what is newer in them replaces what is older. A browser
  // that cannot keep up shows fewer states, and never old ones.
  let waiting;
  function collect(news) {
    if (!waiting) {
      waiting = {};
      requestAnimationFrame(show);
      setTimeout(show, 250); // where no frames are drawn
    }
    for (const [id, panel] of Object.entries(news.panels)) {
      const to = waiting[id] ??= {};
      to.items = { ...to.items, ...panel.items };
      to.order = panel.order || to.order;
    }
  }
  function show() {
    if (!waiting) return;
    const panels = waiting;
    waiting = undefined;
    lay({ panels });
  }

  // Times are told as ages, which is what a person asks.
  const age = (ms) => {
    const s = Math.max(0, Math.round(ms / 1000));
    if (s < 60) return s + " s";
    if (s < 3600) return Math.floor(s / 60) + " min";
    if (s < 86400) return Math.floor(s / 3600) + " h";
    return s < 2 * 31557600 ? Math.floor(s / 86400) + " d" : Math.floor(s / 31557600) + " years";
  };
  function clock() {
    const now = Date.now();
    for (const t of document.querySelectorAll("time")) {
      if (!t.title) t.title = t.textContent;
      const text = age(now - Date.parse(t.dateTime)) + " ago";
      if (t.textContent !== text) t.textContent = text;
    }
    if (!state) return;
    const since = performance.now() - heard, up = source && source.readyState === EventSource.OPEN;
    const kind = !up ? "lost" : state.up ? "live" : "down";
    link.dataset.state = kind;
    words.textContent = { live: "Live", down: "Store does not answer", lost: "Connection lost, trying again" }[kind];
    more.textContent = `index ${state.index.toLocaleString("en").replaceAll(",", "\u202f")} · checked ${age(state.age + since)} ago`;
    banner.hidden = kind === "live";
    if (kind === "down") banner.textContent = `The store does not answer: ${state.error}. What is shown is ${age(state.age + since)} old.`;
    if (kind === "lost") banner.textContent = `The dashboard does not answer. What is shown is ${age(state.age + since)} old.`;
  }

  function open() {
    const at = new URL(root.dataset.stream, location.href);
    at.searchParams.set("from", last);
    source = new EventSource(at);
    source.addEventListener("page", (e) => { last = e.lastEventId || last; collect(JSON.parse(e.data)); });
    source.addEventListener("state", (e) => {
      state = JSON.parse(e.data);
      heard = performance.now();
      if (state.build !== root.dataset.build) location.reload(); // the program behind the page is another one
      clock();
    });
    source.onerror = () => { // the browser tries again by itself, unless the answer was no stream at all
      if (source.readyState === EventSource.CLOSED) setTimeout(open, 2000);
      clock();
    };
  }
  setInterval(clock, 1000);

  // A page that nobody looks at holds no connection.
  let hidden;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hidden);
    if (document.hidden) hidden = setTimeout(() => { if (document.hidden) source.close(); }, 10000);
    else if (source.readyState === EventSource.CLOSED) open();
  });
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (e) => { if (e.persisted) open(); });

  // Keys: / finds, arrows move among what can be opened, Esc goes one step out.
  const steps = ".region, .tile, .card";
  function move(key) {
    const all = [...document.querySelectorAll(steps)].filter((el) => el.offsetParent);
    const from = document.activeElement;
    if (!all.includes(from)) { (document.querySelector(".cards > a") || all[0])?.focus(); return true; }
    const a = from.getBoundingClientRect();
    const x = a.left + a.width / 2, y = a.top + a.height / 2;
    let best, least = Infinity;
    for (const el of all) {
      const b = el.getBoundingClientRect();
      const dx = b.left + b.width / 2 - x, dy = b.top + b.height / 2 - y;
      const [ahead, aside] = { ArrowLeft: [-dx, dy], ArrowRight: [dx, dy], ArrowUp: [-dy, dx], ArrowDown: [dy, dx] }[key];
      if (ahead < 4 || el === from) continue;
      const far = ahead + 3 * Math.abs(aside);
      if (far < least) { least = far; best = el; }
    }
    best?.focus();
    return true;
  }
  addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const typing = e.target.matches?.("input");
    if (e.key === "/" && !typing) { document.getElementById("find").focus(); e.preventDefault(); return; }
    if (e.key === "Escape") {
      if (typing) { e.target.blur(); return; }
      const out = document.querySelector(".machine .close");
      if (out) location.href = out.href; else if (location.search) location.href = "/";
      return;
    }
    const scrolls = !document.activeElement.matches(steps) && /Up|Down/.test(e.key);
    if (e.key.startsWith("Arrow") && !typing && !scrolls && move(e.key)) e.preventDefault();
  });

  clock();
  open();
})();
