// Keeps the page alive: takes the words the daemon sends and puts them into the slots of the page (see page.rs), as
// text and nothing else. It knows no wording. When no news come for a while, the page says so before anything else.
"use strict";
(() => {
  const PATIENCE_MS = 16000; // three heartbeats of the daemon (see events.rs) and a little
  const meta = (name) => document.querySelector(`meta[name="${name}"]`).content;
  const token = meta("panicroom-token");
  const start = meta("panicroom-start");
  const byId = (id) => document.getElementById(id);
  const icon = document.querySelector('link[rel="icon"]');
  let heard = Date.now();
  let lost = false;

  // --- slots ---------------------------------------------------------------------------------------------------

  const set = (el, text) => {
    if (el.textContent !== text) el.textContent = text;
  };

  // The slots of `scope` itself and beneath it, but not those of the items in its lists.
  function slots(scope, name) {
    const item = scope.closest("[data-item]");
    const found = [...scope.querySelectorAll(`[data-${name}]`)].filter((el) => el.closest("[data-item]") === item);
    if (scope.matches(`[data-${name}]`) && !found.includes(scope)) found.push(scope);
    return found;
  }

  function fill(scope, words) {
    const known = (key) => Object.hasOwn(words, key);
    for (const el of slots(scope, "text")) if (known(el.dataset.text)) set(el, words[el.dataset.text]);
    for (const el of slots(scope, "show")) if (known(el.dataset.show)) el.hidden = words[el.dataset.show] === "";
    for (const el of slots(scope, "mark")) if (known(el.dataset.mark)) el.dataset.state = words[el.dataset.mark];
    for (const el of slots(scope, "bar")) if (known(el.dataset.bar)) el.value = words[el.dataset.bar];
  }

  // Items keep their element while they keep their key, so nothing jumps under the reader's eyes.
  function fillList(list, items) {
    const old = new Map([...list.children].map((el) => [el.dataset.item, el]));
    let before = list.firstElementChild;
    for (const words of items) {
      let el = old.get(words.key);
      old.delete(words.key);
      if (!el) {
        el = byId(list.dataset.list).content.firstElementChild.cloneNode(true);
        el.dataset.item = words.key;
      }
      if (el === before) before = before.nextElementSibling;
      else list.insertBefore(el, before);
      fill(el, words);
    }
    for (const el of old.values()) el.remove();
  }

  function show(words) {
    fill(document.body, words);
    for (const list of document.querySelectorAll("[data-list]")) fillList(list, words[list.dataset.list]);
    document.title = `${words.headline} · panicroom`;
    const mark = `/mark/${words.mood}.svg`;
    if (icon.getAttribute("href") !== mark) icon.setAttribute("href", mark);
  }

  // --- the connection ------------------------------------------------------------------------------------------

  function alive() {
    if (lost) {
      lost = false;
      document.body.classList.remove("stale");
      byId("lost").hidden = true;
      for (const el of document.querySelectorAll("button")) el.disabled = false;
    }
    set(byId("link"), "Live");
    byId("link").dataset.state = "live";
  }

  function gone() {
    if (!lost) {
      lost = true;
      const since = new Date(heard).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
      set(byId("lost-since"), `Everything below is old: last heard at ${since}. Whether your files are safe is not known.`);
      byId("lost").hidden = false;
      document.body.classList.add("stale");
      for (const el of document.querySelectorAll("button")) el.disabled = true;
      icon.setAttribute("href", "/mark/lost.svg");
    }
    document.title = "No connection · panicroom";
    set(byId("link"), "Not connected");
    byId("link").dataset.state = "lost";
  }

  let source = null;
  let listened = 0;
  function listen() {
    if (source) source.close();
    listened = Date.now();
    source = new EventSource("/live");
    source.addEventListener("page", (event) => {
      const words = JSON.parse(event.data);
      // Another start: its token and perhaps its page are new.
      if (words.start !== start) return location.reload();
      heard = Date.now();
      alive();
      show(words);
    });
    // The browser tries again by itself, except after an answer that is no stream.
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) setTimeout(listen, 5000);
      gone();
    });
  }
  // A connection may be dead without an error (a sleeping laptop, another network): a new one is tried.
  setInterval(() => {
    const now = Date.now();
    if (now - heard <= PATIENCE_MS) return;
    gone();
    if (now - listened > PATIENCE_MS) listen();
  }, 1000);
  addEventListener("pageshow", (event) => event.persisted && listen());
  listen();

  // --- the buttons ---------------------------------------------------------------------------------------------

  const DONE = { pause: "Paused.", resume: "Going on.", rescan: "Looking at every folder again.", limit: "Limit set." };

  async function ask(what, body) {
    set(byId("answer"), "…");
    try {
      const response = await fetch(`/api/v1/${what}`, {
        method: "POST",
        headers: { "content-type": "application/json", "x-panicroom-token": token },
        body: JSON.stringify(body),
      });
      if (response.ok) {
        set(byId("answer"), DONE[what]);
        return true;
      }
      const text = await response.text();
      let said = text;
      try {
        said = JSON.parse(text).error;
      } catch {
        // a plain answer is its own text
      }
      set(byId("answer"), `That did not work: ${said}`);
    } catch {
      set(byId("answer"), "That did not work: panicroom does not answer.");
    }
    return false;
  }

  // How long an order holds: "for:1h", "until:tomorrow", or nothing.
  function term(id) {
    const [key, value] = id ? byId(id).value.split(":") : [""];
    return key ? { [key]: value } : {};
  }

  for (const button of document.querySelectorAll("[data-do]")) {
    button.addEventListener("click", () => ask(button.dataset.do, term(button.dataset.term)));
  }
  byId("limit").addEventListener("submit", async (event) => {
    event.preventDefault();
    if (await ask("limit", { rate: byId("rate").value, ...term("limit-term") })) byId("rate").value = "";
  });
  byId("configured").addEventListener("click", () => ask("limit", { rate: "configured" }));
  byId("buttons").hidden = false;
})();
