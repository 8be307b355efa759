"use strict";
// The page asks the API next to it (v1/…) and draws what it says: the list of builds, and what happens.

// --- Asking the supervisor -----------------------------------------------------

// call asks the API as who we are.
function call(path, options) {
  const headers = { ...(page.key ? { "X-Medctrl-Key": page.key } : {}), ...((options || {}).headers || {}) };
  return fetch("v1/" + path, { cache: "no-store", ...options, headers });
}

async function get(path) {
  const answer = await call(path);
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error || "the supervisor answered " + answer.status);
  const date = Date.parse(answer.headers.get("Date")); // whole seconds: less than two of difference are none
  if (date) page.ahead = Math.abs(date - Date.now()) < 2000 ? 0 : date - Date.now();
  return answer.json();
}

let refreshing = false, again = false;

// refresh draws the status; calls that come meanwhile are one more.
async function refresh() {
  if (refreshing) { again = true; return; }
  refreshing = true;
  try {
    draw(await get("status"));
    link(true);
  } catch (err) {
    link(false);
  }
  refreshing = false;
  if (again) { again = false; refresh(); }
}

let due = 0;
function soon() { clearTimeout(due); due = setTimeout(refresh, 40); }

function link(alive) {
  text($("link"), alive ? "live" : "the supervisor is away, trying again");
  $("link").className = "pill " + (alive ? "good" : "bad");
}

let stream = null;

// follow has events come as they happen while somebody looks. A browser has few
// connections for one place, over all its tabs: a hidden one only asks now and then.
// It is not an EventSource, which cannot send the key.
async function follow() {
  if (stream) stream.abort();
  stream = null;
  if (document.hidden) return;
  const mine = (stream = new AbortController());
  try {
    const answer = await call("events", { signal: mine.signal });
    if (!answer.ok) throw new Error("the supervisor answered " + answer.status);
    link(true);
    soon();
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = ""; ;) {
      const { done, value } = await reader.read();
      if (done) break;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      happened(lines.filter((line) => line.startsWith("data: ")).map((line) => JSON.parse(line.slice(6))).filter((e) => e.event)); // without one we were too slow, and it ends
    }
  } catch (err) { /* said below */ }
  if (stream !== mine) return; // another was begun, or nobody looks
  link(false);
  soon();
  setTimeout(() => { if (stream === mine) follow(); }, 2000);
}

const shownEvents = 100;

// happened takes up events; a stream that begins anew tells all once more.
function happened(all) {
  const fresh = [], touched = new Set();
  for (const e of all) {
    const key = e.time + e.build + e.event + e.pid;
    if (page.seen.has(key)) continue;
    page.seen.add(key);
    fresh.push(e);
    touched.add(e.build);
    if (!page.events.has(e.build)) page.events.set(e.build, []);
    const own = page.events.get(e.build);
    own.push(e);
    if (own.length > 300) own.shift();
  }
  if (!fresh.length) return;
  if (page.seen.size > 10000) page.seen = new Set([...page.seen].slice(-5000));
  const line = (e) => words(plain(e.event)) + (e.release ? ", release " + e.release : "") + (e.reason ? ": " + plain(e.reason) : "");
  $("events").prepend(...fresh.slice(-shownEvents).reverse().map((e) => {
    const bad = troubles.has(e.event);
    return make("li", {}, make("time", { datetime: e.time, title: date(e.time) }, clock(e.time)), make("a", { href: "#" + e.build }, e.build), make("span", bad ? { class: "trouble" } : {}, (bad ? "✖ " : "") + line(e)));
  }));
  while ($("events").children.length > shownEvents) $("events").lastChild.remove();
  const live = fresh.filter((e) => Date.parse(e.time) >= began + page.ahead); // the others were before we looked
  if (live.length) {
    text($("say"), live[live.length - 1].build + ": " + line(live[live.length - 1]));
    soon();
  }
  for (const name of touched) {
    const row = page.builds.get(name);
    if (row) row.stale();
  }
}

// --- The list ------------------------------------------------------------------

const columns = [
  ["state", "State"], ["name", "Build"], ["what", "What"], ["up", "Up"], ["rate", "Req/s"], ["p95", "p95"], ["errors", "5xx/s"],
  ["cpu", "CPU"], ["mem", "Memory"], ["queue", "Waiting"], ["restarts", "Restarts"],
];

const titles = { up: "Since what is serving took over", rate: "Requests a second by the front, of the last half minute", p95: "95 of 100 responses began within this time, in the last half minute", errors: "Responses 5xx a second, of the last half minute",
  cpu: "Of one core", queue: "Clients waiting to be accepted", restarts: "How often what served was replaced, without a new release" };

const table = make("table", { role: "table", "aria-label": "Builds" }, make("colgroup", {}, ...columns.map(([key]) => make("col", { class: key }))),
  make("thead", { role: "rowgroup", class: "list" }, make("tr", { role: "row", class: "list" }, ...columns.map(([key, head]) => make("th", { scope: "col", role: "columnheader", class: key, title: titles[key] }, head)))));

// fitDetails has the details take the columns that are shown, and no more.
function fitDetails() {
  const shown = [...table.querySelectorAll("thead th")].filter((th) => getComputedStyle(th).display !== "none").length;
  for (const cell of table.querySelectorAll(".more > td")) if (cell.colSpan !== shown) cell.colSpan = shown;
}

let shows = "all"; // of the chips

function chips(counts) {
  if (!$("chips").children.length) {
    for (const [key, label] of [["all", "All"], ["trouble", "Trouble"], ["busy", "Busy"], ["running", "Running"], ["stopped", "Stopped"]]) {
      $("chips").append(make("button", { type: "button", "data-shows": key, onclick: () => { shows = key; narrow(true); } }, label + " ", make("b")));
    }
  }
  for (const chip of $("chips").children) {
    const n = counts[chip.dataset.shows] || 0;
    text(chip.lastChild, String(n));
    chip.classList.toggle("bad", chip.dataset.shows === "trouble" && n > 0);
    chip.setAttribute("aria-pressed", String(chip.dataset.shows === shows));
  }
}

function draw(status) {
  page.status = status;
  const builds = status.builds;
  const well = builds.filter((b) => b.state === "running").length;
  const less = builds.filter(degraded).length;
  text($("summary"), well + " of " + builds.length + " running" + (less ? ", " + less + " degraded" : "") + " · supervisor " + plain(status.version) + ", up " + ago(status.started));
  const trouble = builds.filter((b) => groups[lookOf(b)[0]] === "trouble").length;
  document.title = (trouble ? "(" + trouble + ") " : "") + "Builds";
  $("wrong").hidden = !status.config.error;
  text($("wrong-text"), status.config.error.split("\n").map(plain).join("\n"));
  if (!table.parentNode) $("builds").append(table);
  table.hidden = $("tools").hidden = builds.length === 0;
  table.className = builds.length > 20 ? "dense" : "";
  table.classList.toggle("silent", !builds.some((b) => b.requests));
  table.classList.toggle("acting", page.write);
  const names = new Set(builds.map((b) => b.name));
  for (const [name, row] of page.builds) {
    if (!names.has(name)) { row.close(); row.node.remove(); page.builds.delete(name); }
  }
  const fresh = [];
  for (const b of builds) {
    let row = page.builds.get(b.name);
    if (!row) {
      row = new Row(b.name);
      page.builds.set(b.name, row);
      fresh.push(row);
    }
    row.draw(b);
  }
  fitDetails();
  narrow(fresh.length > 0);
  if (fresh.length) {
    if (builds.length === 1 && !location.hash) fresh[0].show();
    go(false);
  }
}

// narrow shows the rows that are wanted, trouble first. While somebody is about to press something
// in the list, nothing moves there unless they asked for it.
function narrow(asked) {
  const builds = page.status ? page.status.builds : [], search = $("filter").value.trim().toLowerCase();
  const counts = { all: builds.length };
  for (const b of builds) counts[groups[lookOf(b)[0]]] = (counts[groups[lookOf(b)[0]]] || 0) + 1;
  chips(counts);
  let seen = 0;
  for (const b of builds) {
    const row = page.builds.get(b.name), has = [b.name, b.location, lookOf(b)[2], b.reason, commit(b.commit)].join(" ").toLowerCase();
    row.node.hidden = !((shows === "all" || groups[row.kind] === shows) && (!search || has.includes(search)));
    if (!row.node.hidden) seen++;
  }
  text($("shown"), seen === builds.length ? "" : seen + " of " + builds.length + " shown");
  $("none").hidden = seen > 0;
  text($("none"), builds.length ? "No build is like that." : "The file names no builds.");
  if (!asked && (table.matches(":hover") || table.contains(document.activeElement))) return;
  const rows = builds.map((b) => page.builds.get(b.name)).sort((a, b) => order[a.kind] - order[b.kind]); // sort is stable
  rows.forEach((row, i) => { if (table.children[i + 2] !== row.node) table.insertBefore(row.node, table.children[i + 2] || null); });
}

// Row is a build of the list, with its details below while they are open.
class Row {
  constructor(name) {
    this.name = name;
    const id = "build-" + name, parts = (this.parts = {});
    const part = (key, node) => (parts[key] = node);
    const cell = (key, ...content) => part(key, make("td", { role: "cell", class: key }, ...content));
    this.line = make("tr", { role: "row", onclick: (e) => { if (!e.target.closest("a, button") && !String(getSelection())) this.toggle(); } },
      cell("state", part("pill", make("span", { class: "pill" }, part("sign", make("span")), " ", part("word", make("span", { class: "word" }))))),
      cell("name", make("div", {}, part("toggle", make("button", { type: "button", "aria-expanded": "false", "aria-controls": id + "-more", onclick: () => this.toggle() }, name)), part("where", make("a", { class: "where", target: "_blank", rel: "noopener noreferrer", hidden: true })))),
      cell("what", make("div", {}, part("reason", make("span")), part("acts", make("span", { class: "acts" })))),
      ...columns.slice(3).map(([key]) => cell(key)));
    this.more = make("tr", { role: "row", class: "more", id: id + "-more", hidden: true });
    this.node = make("tbody", { role: "rowgroup", class: "build", id }, this.line, this.more);
  }

  draw(b) {
    this.status = b;
    const p = this.parts, [kind, sign, state] = lookOf(b);
    this.kind = kind;
    this.line.className = "line " + kind;
    text(p.sign, sign);
    text(p.word, state);
    p.pill.title = state;
    p.pill.className = "pill " + kind;
    p.where.hidden = !b.location;
    if (b.location) { text(p.where, b.location); p.where.href = linkTo(b.location); }
    const why = b.reason || (b.build_error && !b.building ? "build failed: " + b.build_error : "");
    const gone = (b.processes || []).find(faulty);
    const what = why || (b.building ? "building: " + (b.build_progress || "waiting for its turn") : b.proving ? "checking " + b.proving : gone ? gone.name + "." + (gone.index + 1) + " is down" + (gone.last_exit ? ": " + gone.last_exit : "") : commit(b.commit) || b.release || "no release yet");
    text(p.reason, firstLine(what));
    p.reason.title = plain(what);
    p.reason.className = "reason" + (groups[kind] === "trouble" ? " why" : "");
    text(p.up, ago(b.since));
    p.up.title = b.release ? "release " + b.release : "";
    const r = b.requests;
    text(p.rate, r ? rate(r.per_second) : "–");
    text(p.p95, r ? millis(r.p95_seconds) : "–");
    text(p.errors, r ? rate(r.errors_per_second) : "–");
    p.errors.className = "errors" + (r && r.errors_per_second > 0 ? " trouble" : "");
    text(p.cpu, b.memory ? percent(b.cpu) : "–");
    text(p.mem, mega(b.memory));
    text(p.queue, b.queue < 0 ? "–" : String(b.queue));
    text(p.restarts, String(b.restarts));
    this.allowed();
    if (this.details) this.details.draw(b);
  }

  // allowed shows only what we may see and do: in the row what helps where something is wrong.
  allowed() {
    const b = this.status, offers = [];
    if (page.write && groups[this.kind] === "trouble") {
      if (b.build_error && !b.building) offers.push(["deploy", "Try again"]);
      if (b.release) offers.push(["restart", "Restart"]);
      else if (!b.build_error) offers.push(["start", "Start"]);
      if (older(b)) offers.push(["rollback", "Roll back"]);
    }
    const drawn = JSON.stringify(offers);
    if (drawn !== this.offered) {
      this.offered = drawn;
      this.parts.acts.replaceChildren(...offers.map(([action, label]) => make("button", { type: "button", "aria-label": label + " " + this.name, onclick: () => this.act(action) }, label)));
    }
    if (this.details) this.details.allowed();
  }

  // toggle opens or closes the details, and keeps the address of what is open.
  toggle() {
    if (this.details && this.details.open) {
      this.close();
      if (location.hash === "#" + this.name) history.replaceState(null, "", location.pathname + location.search);
    } else {
      history.replaceState(null, "", "#" + this.name);
      this.show();
    }
  }

  show() {
    if (!this.details) {
      this.details = new Details(this);
      this.more.append(make("td", { role: "cell" }, this.details.node));
      fitDetails();
    }
    if (this.details.open) return;
    this.more.hidden = false;
    this.node.classList.add("open");
    this.parts.toggle.setAttribute("aria-expanded", "true");
    this.details.draw(this.status);
    this.details.begin();
  }

  close() {
    this.more.hidden = true;
    this.node.classList.remove("open");
    this.parts.toggle.setAttribute("aria-expanded", "false");
    if (this.details) this.details.end();
  }

  stale() { if (this.details) this.details.stale(); }

  async act(action, to) {
    const b = this.status;
    let query = "";
    if (action === "stop" && !(await ask("Stop " + this.name + "? Its clients are turned away until it is started.", "Stop"))) return;
    if (action === "rollback") {
      to = to || older(b);
      if (!(await ask("Roll " + this.name + " back to " + to + (b.release ? ", from " + b.release : "") + "? It stays there until the next deploy.", "Roll back"))) return;
      query = "?to=" + encodeURIComponent(to);
    }
    // What builds takes long, and is seen as it goes: nobody waits for its answer.
    const long = action === "rebuild" || action === "deploy";
    if (long) query = "?wait=no";
    const focused = document.activeElement, buttons = [...this.node.querySelectorAll(".acts button")];
    buttons.forEach((b) => (b.disabled = true));
    try {
      const answer = await call("builds/" + encodeURIComponent(this.name) + "/" + action + query, { method: "POST", headers: { "Content-Type": "application/json" } });
      const lines = (await answer.text()).trim().split("\n").map((l) => JSON.parse(l));
      const last = lines[lines.length - 1];
      if (answer.status === 401 || answer.status === 403) look();
      toast(this.name + ": " + action + (last.error ? " failed: " + last.error : long ? " begins" : " done"));
    } catch (err) {
      toast(this.name + ": " + action + ": the supervisor went away before it was done");
    }
    buttons.forEach((b) => (b.disabled = false));
    if (document.activeElement === document.body) focused.focus(); // the browser takes it from what is disabled
    refresh();
    this.stale();
  }
}

// go opens the build that the address names.
function go(moves) {
  const row = page.builds.get(decodeURIComponent(location.hash.slice(1)));
  if (!row || (row.details && row.details.open && !moves)) return;
  row.node.hidden = false;
  row.show();
  row.node.scrollIntoView({ block: "start" });
}

// --- Asking a person -----------------------------------------------------------

function ask(question, yes) {
  text($("ask-text"), question);
  text($("ask-yes"), yes);
  $("ask").returnValue = "no";
  $("ask").showModal();
  return new Promise((done) => $("ask").addEventListener("close", () => done($("ask").returnValue === "yes"), { once: true }));
}

let gone = 0;
function toast(message) {
  text($("toast"), plain(message));
  $("toast").hidden = false;
  clearTimeout(gone);
  gone = setTimeout(() => ($("toast").hidden = true), 8000);
}

// session shows what we may do, as the supervisor says it.
function session(said) {
  page.read = said.read === true;
  page.write = said.write === true;
  if (!page.read) { page.key = ""; sessionStorage.removeItem("key"); }
  $("unlock").hidden = page.write || !said.readable || (page.read && !said.writable);
  $("lock").hidden = !page.read;
  table.classList.toggle("acting", page.write);
  for (const row of page.builds.values()) { row.allowed(); row.stale(); }
}

async function look() {
  session(await get("session"));
}

async function unlock(token) {
  const answer = await call("session", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token }) });
  const said = await answer.json();
  if (said.error) { toast(said.error); return; }
  page.key = said.key;
  sessionStorage.setItem("key", page.key);
  session(said);
  renew();
}

async function lock() {
  page.key = "";
  sessionStorage.removeItem("key");
  session(await (await call("session", { method: "DELETE", headers: { "Content-Type": "application/json" } })).json());
  renew();
}

// renew shows what we may see now.
function renew() {
  $("events").replaceChildren();
  page.seen.clear();
  page.events.clear();
  follow();
  refresh();
}

$("unlock").addEventListener("submit", (e) => {
  e.preventDefault();
  const token = $("token").value.trim();
  $("token").value = "";
  unlock(token).catch(() => link(false));
});
$("lock").addEventListener("click", () => lock().catch(() => link(false)));
$("filter").addEventListener("input", () => narrow(true));
document.addEventListener("keydown", (e) => {
  if (e.key !== "/" || e.ctrlKey || e.metaKey || e.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName) || $("ask").open) return;
  e.preventDefault();
  $("filter").focus();
});
addEventListener("resize", fitDetails);
addEventListener("hashchange", () => go(true));

// --- Beginning -----------------------------------------------------------------

look().catch(() => link(false));
refresh();
follow();
setInterval(refresh, 5000);
const shownRows = () => [...page.builds.values()].filter((row) => row.details && !row.more.hidden);
setInterval(() => { if (!document.hidden) for (const row of shownRows()) row.details.samples(); }, 15000);
document.addEventListener("visibilitychange", () => {
  follow();
  for (const row of shownRows()) {
    if (document.hidden) row.details.end();
    else row.details.begin();
  }
  if (!document.hidden) refresh();
});
// Colours of charts are painted once.
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const row of shownRows()) { row.details.charts.forEach((c) => c.end()); row.details.chart(); }
});
