// Makes pages live. Without it they work all the same: links and forms load pages, read-outs come by hover and focus.
(() => {
  "use strict";
  const one = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // Fragments: <template data-for="id">. What is being typed in is left alone and marked stale; what is the same again stays.
  const parsed = html => new DOMParser().parseFromString(html, "text/html");
  const shown = new Map();
  function put(id, fresh) {
    const old = document.getElementById(id), html = fresh.outerHTML;
    if (!old || shown.get(id) === html) return;
    const focus = document.activeElement;
    if (old.contains(focus) && focus.matches("input,textarea,select")) { old.dataset.stale = "1"; return; }
    shown.set(id, html);
    const isOpen = all("details", old).map(details => details.open);
    const at = old.contains(focus) ? all("[tabindex],a,button,summary", old).indexOf(focus) : -1;
    old.replaceWith(fresh);
    all("details", fresh).forEach((details, i) => { details.open = !!isOpen[i]; });
    if (at >= 0) all("[tabindex],a,button,summary", fresh)[at]?.focus();
    fresh.classList.add("flash");
    wire(fresh);
  }
  function replace(html) {
    for (const template of all("template[data-for]", parsed(html))) put(template.dataset.for, template.content.firstElementChild);
    tick();
  }
  // What happened while nobody listened is not sent again: the page is read anew.
  async function refresh() {
    const answer = await fetch(location.href).catch(() => null);
    if (!answer?.ok || answer.redirected) return;
    for (const part of all("main>[id],main>.grid>[id]", parsed(await answer.text()))) put(part.id, part);
    tick();
  }

  // One connection for all of a person's pages that follow the same: whoever holds the lock has it and tells the others. `open` makes it and
  // gets what tells this page and the others; `act` does what was told; `answer` is what a page that has just come is told, if anything; `back`
  // is for a page that comes back from the browser's memory, since its connection was given up on leaving.
  function shared(what, { open, act, answer, back }) {
    const name = `undertone ${one(".foot bdi")?.textContent ?? ""} ${what}`;
    const others = "BroadcastChannel" in window ? new BroadcastChannel(name) : null;
    const tell = message => { act(message); others?.postMessage(message); };
    if (others) others.onmessage = ({ data }) => {
      if (data.kind !== "ask") { act(data); return; }
      const told = answer();
      if (told) others.postMessage(told);
    };
    const connect = signal => new Promise(ended => {
      let source, timer, wait = 1000;
      const begin = () => {
        source = open(tell);
        source.addEventListener("open", () => { wait = 1000; });
        source.addEventListener("error", () => {
          // Refused: perhaps logged out, perhaps starting again.
          if (source.readyState === EventSource.CLOSED) timer = setTimeout(begin, wait = Math.min(wait * 2, 30000));
        });
      };
      begin();
      signal.addEventListener("abort", () => { clearTimeout(timer); source.close(); ended(); });
    });
    const start = () => {
      const leaving = new AbortController(), signal = leaving.signal;
      addEventListener("pagehide", () => leaving.abort(), { once: true });
      if (!others || !navigator.locks) { connect(signal); return; }
      others.postMessage({ kind: "ask" });
      navigator.locks.request(name, { signal }, () => connect(signal)).catch(() => {});
    };
    start();
    addEventListener("pageshow", event => { if (event.persisted) { back?.(); start(); } });
  }

  // Live updates of the page.
  const live = one(".live");
  if (live && "EventSource" in window) {
    live.hidden = false;
    // What this page shows, and, where it has the connection, how that is.
    let seen = "", own = "";
    const address = live.dataset.src;
    shared(address, {
      open: tell => {
        const source = new EventSource(`${address}&seen=${encodeURIComponent(live.dataset.moment)}`);
        source.onopen = () => tell({ kind: own = "on" });
        source.addEventListener("fragment", event => tell({ kind: "fragment", data: event.data }));
        source.addEventListener("say", event => tell({ kind: "say", data: event.data, moment: event.lastEventId }));
        source.onerror = () => tell({ kind: own = "lost" });
        return source;
      },
      act: ({ kind, data, moment }) => {
        if (kind === "fragment") replace(data);
        else if (kind === "say") { one("#say").textContent = data; live.dataset.moment = moment; }
        else if (kind === "on" || kind === "lost") {
          if (kind === "on" && (seen === "lost" || moment && moment !== live.dataset.moment)) refresh();
          seen = live.dataset.state = kind;
          one("span", live).textContent = kind === "lost" ? live.dataset.lost : live.dataset.live;
        }
      },
      answer: () => own && { kind: own, moment: live.dataset.moment },
      back: () => { own = ""; refresh(); },
    });
  }

  // The bell: how much of the inbox is unread.
  const bell = one("#unread");
  if (bell && "EventSource" in window) {
    let known = null;
    shared("inbox", {
      open: tell => {
        const source = new EventSource(bell.dataset.src);
        source.addEventListener("unread", event => tell({ told: JSON.parse(event.data) }));
        return source;
      },
      act: ({ told }) => {
        known = told;
        bell.textContent = told.more_unread ? "99+" : told.unread;
        bell.hidden = !told.unread && !told.more_unread;
        if (location.pathname === "/inbox" && !location.search.includes("before=")) refresh();
      },
      answer: () => known && { told: known },
    });
  }

  // Charts: one stop for the tab key, arrows walk, touch keeps a read-out open.
  function wire(root) {
    for (const chart of all(".pts", root)) {
      const days = all(".pt", chart);
      chart.addEventListener("keydown", event => {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        const at = days.indexOf(event.target);
        const to = { ArrowLeft: at - 1, ArrowRight: at + 1, PageUp: at - 7, PageDown: at + 7, Home: 0, End: days.length - 1 }[event.key];
        if (event.key === "Escape") event.target.blur();
        if (to === undefined || at < 0) return;
        event.preventDefault();
        const day = days[Math.max(0, Math.min(days.length - 1, to))];
        days.forEach(other => { other.tabIndex = other === day ? 0 : -1; });
        day.focus();
      });
      chart.addEventListener("pointerdown", event => {
        all(".on", chart).forEach(day => day.classList.remove("on"));
        event.target.closest(".pt")?.classList.add("on");
      });
    }
  }
  wire(document);

  // Keys: g and a letter go, ? helps. Off in fields, and off altogether where the person said so.
  const help = one("#keys"), choice = one(".keys-on"), button = one(".keys-open");
  const remembered = (() => { try { return localStorage; } catch { return null; } })();
  if (choice) {
    choice.checked = remembered?.getItem("keys") !== "off";
    choice.addEventListener("change", () => remembered?.setItem("keys", choice.checked ? "on" : "off"));
  }
  if (button && help) {
    button.hidden = false;
    button.addEventListener("click", () => help.showModal());
  }
  let going = 0;
  addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || !choice?.checked) return;
    if (event.target.matches?.("input,textarea,select,[contenteditable]") || help?.open) return;
    if (event.key === "g") { going = event.timeStamp; return; }
    if (going && event.timeStamp - going < 900) {
      const place = one(`a[data-go="${CSS.escape(event.key)}"]`);
      if (place) { event.preventDefault(); place.click(); }
    } else if (event.key === "?") help?.showModal();
    going = 0;
  });

  // Times: how long ago, with the moment itself on hover.
  const relative = new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: "auto", style: "short" });
  function tick() {
    for (const time of all("time[data-rel]")) {
      const seconds = (new Date(time.dateTime) - Date.now()) / 1000, size = Math.abs(seconds);
      if (size > 6 * 86400) continue;
      time.title ||= time.textContent;
      const [unit, length] = size < 90 ? ["second", 1] : size < 5400 ? ["minute", 60] : size < 129600 ? ["hour", 3600] : ["day", 86400];
      time.textContent = relative.format(Math.round(seconds / length), unit);
    }
  }
  tick();
  setInterval(tick, 15000);
})();
