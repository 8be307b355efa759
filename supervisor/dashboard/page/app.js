"use strict";
// The page asks the API next to it (v1/…) and draws what it says. Text is only ever
// set as text: reasons and logs hold what builds printed.

const $ = (id) => document.getElementById(id);

// make builds an element: make("p", {class: "x", onclick: f}, "text", child).
function make(tag, props, ...children) {
  const svg = ["svg", "polyline", "polygon", "circle"].includes(tag);
  const e = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (name.startsWith("on")) e.addEventListener(name.slice(2), value);
    else if (value === true) e.setAttribute(name, "");
    else if (value !== false && value !== undefined) e.setAttribute(name, value);
  }
  e.append(...children.filter((c) => c !== null && c !== undefined));
  return e;
}

function text(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

const page = {
  builds: new Map(),   // name -> card
  samples: {},
  newest: "",          // time of the newest event that was seen
  seen: new Set(),
  ahead: 0,            // milliseconds by which the supervisor's clock is ahead of ours
  following: 0,        // build logs that are streamed
  key: sessionStorage.getItem("key") || "", // one half of a session; the other is a cookie
  read: false,         // logs and output are shown
  write: false,        // builds may be acted on
};

// --- Words ---------------------------------------------------------------------

const looks = {
  running: ["good", "●"], stopped: ["off", "■"], building: ["busy", "▲"], starting: ["busy", "▲"], stopping: ["busy", "▼"],
  unhealthy: ["bad", "✚"], backoff: ["bad", "↻"], failed: ["bad", "✖"],
};

const degraded = (b) => b.state === "running" && b.replicas.ready < b.replicas.want;

const troubles = new Set(["exited", "build_failed", "candidate_failed", "unhealthy", "gave_way", "out_of_memory", "replica_failed", "process_exited"]);

function span(seconds) {
  seconds = Math.max(0, Math.floor(seconds));
  const units = [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]];
  for (let i = 0; i < units.length; i++) {
    const [name, size] = units[i];
    const n = Math.floor(seconds / size);
    if (n === 0 && i < 3) continue;
    if (n >= 10 || i === 3) return n + name;
    const [lower, lowerSize] = units[i + 1];
    return n + name + Math.floor((seconds % size) / lowerSize) + lower;
  }
  return "0s";
}

const never = (time) => !time || time.startsWith("0001");
const now = () => Date.now() + page.ahead;
const began = Date.now();
const ago = (time) => (never(time) ? "–" : span((now() - Date.parse(time)) / 1000));
const date = (time) => new Date(time).toLocaleString([], { dateStyle: "medium", timeStyle: "medium", hour12: false });
const clock = (time) => new Date(time).toLocaleTimeString([], { hour12: false });
const mega = (bytes) => (bytes ? (bytes >= 1048576000 ? (bytes / 1073741824).toFixed(1) + " GB" : Math.max(1, Math.round(bytes / 1048576)) + " MB") : "–");
const millis = (s) => (s === null || s === undefined ? "–" : s < 0.0005 ? "0 ms" : s < 1 ? (s * 1000).toFixed(s < 0.01 ? 1 : 0) + " ms" : s.toFixed(1) + " s");
const words = (event) => event.replaceAll("_", " ");

// commit is a line about a commit; who may only look gets no more than its hash.
function commit(c) {
  if (!c) return "";
  return c.hash.slice(0, 10) + (c.branch ? " on " + c.branch : "") + (c.subject ? ", " + c.subject : "") + (c.author ? " (" + c.author + ")" : "") +
    (c.changed ? ", " + c.changed + (c.changed === 1 ? " file" : " files") + " changed since" : "");
}

function remedy(b) {
  if (b.state === "failed" || (b.build_error && !b.building)) return "Fix what is named and it builds by itself." + (b.release ? " Release " + b.release + " still serves." : "");
  if (b.state === "backoff") return "It starts again by itself, and at once when its settings are fixed.";
  if (b.state === "unhealthy") return "It is replaced by itself if that goes on.";
  return "";
}

// --- Asking --------------------------------------------------------------------

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

async function refreshSamples() {
  try {
    page.samples = (await get("samples")).builds;
    for (const card of page.builds.values()) card.plots(page.samples[card.name] || []);
  } catch (err) { /* refresh says that the supervisor is away */ }
}

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
      for (const line of lines) {
        if (!line.startsWith("data: ")) continue;
        const e = JSON.parse(line.slice(6));
        if (e.event) happened(e); // else we were too slow, and it ends
      }
    }
  } catch (err) { /* said below */ }
  if (stream !== mine) return; // another was begun, or nobody looks
  link(false);
  soon();
  setTimeout(() => { if (stream === mine) follow(); }, 2000);
}

// happened takes up an event; a stream that begins anew tells all once more.
function happened(e) {
  const key = e.time + e.build + e.event + e.pid;
  if (page.seen.has(key)) return;
  page.seen.add(key);
  if (page.seen.size > 10000) page.seen = new Set([...page.seen].slice(-5000));
  const line = words(e.event) + (e.release ? ", release " + e.release : "") + (e.reason ? ": " + e.reason : "");
  $("events").prepend(make("li", {}, make("time", { datetime: e.time, title: date(e.time) }, clock(e.time)), make("b", {}, e.build), make("span", troubles.has(e.event) ? { class: "trouble" } : {}, (troubles.has(e.event) ? "✖ " : "") + line)));
  while ($("events").children.length > 100) $("events").lastChild.remove();
  if (Date.parse(e.time) < began + page.ahead) return; // it was before we looked
  text($("say"), e.build + ": " + line);
  soon();
  const card = page.builds.get(e.build);
  if (card) card.stale();
}

// --- Drawing -------------------------------------------------------------------

function draw(status) {
  const builds = status.builds;
  const well = builds.filter((b) => b.state === "running").length;
  const less = builds.filter(degraded).length;
  text($("summary"), well + " of " + builds.length + " running" + (less ? ", " + less + " degraded" : "") + " · supervisor " + status.version + ", up " + ago(status.started));
  document.title = (well - less === builds.length ? "" : "(" + (builds.length - well + less) + ") ") + "Builds";
  $("wrong").hidden = !status.config.error;
  text($("wrong-text"), status.config.error);
  $("none").hidden = builds.length > 0;
  const names = new Set(builds.map((b) => b.name));
  for (const [name, card] of page.builds) {
    if (!names.has(name)) { card.close(); card.node.remove(); page.builds.delete(name); }
  }
  builds.forEach((b, i) => {
    let card = page.builds.get(b.name);
    if (!card) {
      card = new Card(b.name);
      page.builds.set(b.name, card);
      card.plots(page.samples[b.name] || []);
    }
    if ($("builds").children[i] !== card.node) $("builds").insertBefore(card.node, $("builds").children[i] || null);
    card.draw(b);
  });
}

class Card {
  constructor(name) {
    this.name = name;
    this.open = false;
    const id = "build-" + name;
    this.parts = {};
    const part = (key, node) => (this.parts[key] = node);
    const figure = (key, label) => make("div", {}, make("dt", {}, label), part(key, make("dd", {}, "–")));
    const plot = (kind) => make("figure", {}, part(kind, make("svg", { class: "plot " + kind, viewBox: "0 0 120 32", preserveAspectRatio: "none", role: "img" })), part(kind + "Text", make("figcaption")));
    this.node = make("li", { class: "build", id, "aria-labelledby": id + "-name" },
      make("div", { class: "top" },
        make("div", {}, make("h3", { class: "name", id: id + "-name" }, name), part("state", make("span", { class: "pill" })), " ", part("where", make("span", { class: "where" }))),
        make("dl", { class: "figures" }, figure("release", "release"), figure("up", "serves for"), figure("restarts", "restarts"), figure("mem", "memory"), figure("cpu", "of a core"), figure("queue", "waiting")),
        plot("memory"), plot("latency"),
        part("toggle", make("button", { type: "button", "aria-expanded": "false", "aria-controls": id + "-more", "aria-label": "Details of " + name, onclick: () => this.toggle() }, "Details"))),
      part("note", make("p", { class: "note", hidden: true })),
      part("progress", make("p", { class: "note", hidden: true })),
      part("commit", make("p", { class: "where commit", hidden: true })),
      part("more", make("div", { class: "more", id: id + "-more", hidden: true })));
    const act = (action, label, danger) => part(action, make("button", { type: "button", class: danger ? "danger" : "", onclick: () => this.act(action) }, label));
    this.parts.more.append(
      part("acts", make("div", { class: "acts", hidden: true }, act("deploy", "Deploy"), act("restart", "Restart"), act("rebuild", "Rebuild"), act("start", "Start"), act("stop", "Stop", true))),
      make("h4", {}, "Releases"), make("div", { class: "scroll" }, part("releases", make("table", { role: "table", "aria-label": "Releases of " + name }))),
      part("processesHead", make("h4", { hidden: true }, "Processes")), part("processes", make("ul", { class: "processes", hidden: true, "aria-label": "Processes of " + name })),
      part("schedulesHead", make("h4", { hidden: true }, "Schedules")), part("schedules", make("ul", { class: "schedules", hidden: true, "aria-label": "Schedules of " + name })),
      make("h4", {}, "Last build"), part("build", make("p")), part("locked", make("p", { class: "where" }, "Logs and output are shown to those who enter the token to read them.")), part("buildLog", make("pre", { class: "log", tabindex: "0", "aria-label": "Log of the last build of " + name })),
      part("outputHead", make("h4", {}, "Output")), part("output", make("pre", { class: "log", tabindex: "0", "aria-label": "Last output of " + name })));
  }

  draw(b) {
    this.status = b;
    const p = this.parts, [kind, icon] = degraded(b) ? ["less", "◐"] : looks[b.state] || ["off", "?"];
    text(p.state, icon + " " + b.state + (degraded(b) ? ", " + b.replicas.ready + " of " + b.replicas.want : ""));
    p.state.title = degraded(b) ? b.replicas.ready + " of " + b.replicas.want + " server trees serve" : "";
    p.state.className = "pill " + kind;
    text(p.where, b.location || "");
    text(p.release, b.release ? b.release.slice(0, 15) : "–");
    p.release.title = b.release + (b.commit ? "\ncommit " + commit(b.commit) : "");
    p.commit.hidden = !b.commit;
    text(p.commit, b.commit ? "Commit " + commit(b.commit) : "");
    text(p.up, ago(b.since));
    text(p.restarts, String(b.restarts));
    text(p.mem, mega(b.memory));
    text(p.cpu, b.memory ? Math.round(100 * b.cpu) + " %" : "–");
    text(p.queue, b.queue < 0 ? "–" : String(b.queue));
    const why = [b.reason, b.build_error && b.build_error !== b.reason ? "The last build failed: " + b.build_error : "", remedy(b)].filter(Boolean);
    p.note.hidden = why.length === 0;
    p.note.className = "note" + (kind === "bad" || b.build_error ? " bad" : "");
    text(p.note, why.join("\n"));
    p.progress.hidden = !b.building;
    text(p.progress, b.building ? "Building: " + (b.build_progress || "waiting for its turn") : "");
    p.start.disabled = b.state !== "stopped" && b.state !== "backoff" && b.state !== "failed";
    p.stop.disabled = b.state === "stopped" || b.state === "stopping";
    p.restart.disabled = !b.release;
    p.deploy.disabled = b.state === "stopped" || b.state === "stopping";
    this.allowed();
    if (this.open && b.building) this.followBuild();
  }

  // allowed shows only what we may see and do.
  allowed() {
    const p = this.parts;
    p.acts.hidden = !page.write;
    p.buildLog.hidden = p.outputHead.hidden = p.output.hidden = !page.read;
    p.locked.hidden = page.read;
  }

  plots(all) {
    this.plot("memory", all.map((s) => s.memory || null), mega, "Memory");
    this.plot("latency", all.map((s) => s.latency_seconds), millis, "Health probe");
  }

  plot(kind, values, words, title) {
    const svg = this.parts[kind], known = values.filter((v) => v !== null);
    svg.replaceChildren();
    if (known.length === 0) {
      svg.setAttribute("aria-label", title + ": nothing is known yet");
      text(this.parts[kind + "Text"], title + " –");
      return;
    }
    const most = Math.max(...known), least = Math.min(...known), last = known[known.length - 1];
    const range = words(least) === words(most) ? "steady" : words(least) + " to " + words(most);
    svg.setAttribute("aria-label", title + " over the last hour: " + words(last) + " now, " + range);
    this.parts[kind + "Text"].replaceChildren(make("b", {}, title + " " + words(last)), " ", make("span", {}, range));
    // The right edge is now, the left an hour ago; a gap breaks the line.
    const x = (i) => 120 - (values.length - 1 - i), y = (v) => 30 - (28 * v) / (most || 1);
    let line = [];
    const flush = () => {
      if (line.length === 1) svg.append(make("circle", { cx: line[0][0], cy: line[0][1], r: 0.6 }));
      else if (line.length > 1) {
        const points = line.map((at) => at[0] + "," + at[1].toFixed(1)).join(" ");
        svg.append(make("polygon", { points: line[0][0] + ",32 " + points + " " + line[line.length - 1][0] + ",32" }), make("polyline", { points }));
      }
      line = [];
    };
    values.forEach((v, i) => (v === null ? flush() : line.push([x(i), y(v)])));
    flush();
  }

  toggle() {
    this.open = !this.open;
    this.parts.toggle.setAttribute("aria-expanded", String(this.open));
    text(this.parts.toggle, this.open ? "Close" : "Details");
    this.parts.more.hidden = !this.open;
    if (this.open) this.detail();
    else this.close();
  }

  close() { if (this.stream) this.stream.abort(); this.stream = null; }

  stale() { if (this.open) { clearTimeout(this.due); this.due = setTimeout(() => this.detail(), 60); } }

  async detail() {
    let d;
    try { d = await get("builds/" + this.name); } catch (err) { return; }
    const p = this.parts;
    this.releases(d.history);
    const there = d.status.elsewhere || { processes: [], schedules: [] };
    this.processes(d.status.processes || [], there);
    this.schedules(d.status.schedules || [], there);
    this.followBuild();
    const b = d.last_build;
    text(p.build, b ? (b.result === "built" ? "made " + b.release : b.result) + " in " + millis(b.took_seconds) + " – " +
      b.steps.map((s) => s.step + " " + (s.skipped ? "(nothing to do)" : millis(s.took_seconds))).join(" · ") + (b.error && b.error !== this.status.build_error ? "\n" + b.error : "") : "none is known");
    text(p.output, d.output.join("\n"));
    p.output.scrollTop = p.output.scrollHeight;
  }

  // processes says what runs beside the server, an instance a line.
  processes(all, there) {
    const p = this.parts;
    p.processesHead.hidden = p.processes.hidden = all.length + there.processes.length === 0;
    p.processes.replaceChildren(...all.map((i) => {
      const lines = [i.state + (i.since ? " for " + ago(i.since) : "")];
      if (i.next_try) lines.push("starts again at " + clock(i.next_try));
      lines.push(i.restarts === 1 ? "1 restart" : i.restarts + " restarts");
      if (i.release && i.release !== this.status.release) lines.push("release " + i.release);
      if (i.last_exit) lines.push("last exit: " + i.last_exit);
      return make("li", { class: i.state === "backoff" || i.state === "stopped" ? "bad" : "" }, make("b", {}, i.name + "." + (i.index + 1)), " – " + lines.join("; "));
    }), ...there.processes.map((name) => make("li", {}, make("b", {}, name), " – runs on " + there.host)));
  }

  // schedules says when commands run, and how their last runs went.
  schedules(all, there) {
    const p = this.parts;
    p.schedulesHead.hidden = p.schedules.hidden = all.length + there.schedules.length === 0;
    p.schedules.replaceChildren(...all.map((s) => {
      const r = s.last;
      const lines = [s.trouble ? "cannot run: " + s.trouble : s.next ? "next " + new Date(s.next).toLocaleString() : "does not run while the build is as it is"];
      if (s.running) lines.push(s.running === 1 ? "running" : s.running + " running");
      if (r) lines.push("last " + ago(r.started) + " ago: " + r.result.replace("_", " ") + ", " + r.exit + (r.result === "unknown" ? ", at most " + millis(r.took_seconds) + " after it began" : " after " + millis(r.took_seconds)));
      return make("li", { class: r && (r.result === "failed" || r.result === "timed_out") ? "bad" : "" },
        make("b", {}, s.name), " " + (s.every ? "every " + s.every : s.cron + " " + (s.timezone || "")) + " – " + lines.join("; "),
        ...(page.read && r && r.output.length ? [make("pre", { class: "log", tabindex: "0", "aria-label": "Output of " + s.name }, r.output.join("\n"))] : []));
    }), ...there.schedules.map((name) => make("li", {}, make("b", {}, name), " – runs on " + there.host)));
  }

  // releases draws the history anew where it has changed: who has a button in
  // focus is not to lose it.
  releases(history) {
    const now = JSON.stringify([history, page.write, this.status.state]);
    if (now === this.drawn) {
      for (const cell of this.parts.releases.querySelectorAll("[data-age]")) text(cell, ago(cell.dataset.age));
      return;
    }
    this.drawn = now;
    const focused = document.activeElement && document.activeElement.dataset.release;
    const heads = ["Release", "Age", "Fate"].map((h) => make("th", { scope: "col", role: "columnheader" }, h));
    if (page.write) heads.push(make("td", { role: "cell" }));
    this.parts.releases.replaceChildren(make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...heads)),
      make("tbody", { role: "rowgroup" }, ...history.map((r) => this.release(r))));
    const again = focused && this.parts.releases.querySelector('[data-release="' + CSS.escape(focused) + '"]');
    if (again) again.focus();
  }

  // release is a row. Its roles are said, since a narrow page lays it out as none.
  release(r) {
    let fate = "never served";
    if (r.serves) fate = "serves since " + date(r.since);
    else if (r.bad) fate = "not taken: " + r.bad;
    else if (r.until) fate = "served until " + ago(r.until) + " ago: " + r.ended;
    else if (r.since) fate = "served since " + date(r.since);
    const back = make("button", { type: "button", "data-release": r.release, "aria-label": "Roll back to " + r.release, onclick: () => this.act("rollback", "?to=" + encodeURIComponent(r.release)) }, "Roll back");
    const cell = (props, value) => make("td", { role: "cell", ...props }, value);
    const made = [r.commit ? commit(r.commit) : "", r.because && r.because.length ? "made because: " + r.because.join(", ") : "", r.by ? "asked for by " + r.by : ""].filter(Boolean);
    const name = make("td", { role: "cell", class: "mono" }, r.release, ...made.map((line) => make("div", { class: "where" }, line)));
    return make("tr", { role: "row" }, name, cell({ class: "number", "data-age": r.built }, ago(r.built)), cell({}, fate), page.write ? cell({}, r.serves ? null : back) : null);
  }

  // followBuild shows the log of the last build and goes on with it, or where
  // another card's is followed already, shows it as it is now.
  async followBuild() {
    if (this.stream || document.hidden || !page.read) return;
    const mine = (this.stream = new AbortController()), log = this.parts.buildLog, follows = page.following < 1;
    if (follows) page.following++;
    try {
      const answer = await call("logs/" + this.name + "?build=1&lines=200&follow=" + (follows ? 1 : 0), { signal: mine.signal });
      if (!answer.ok) return;
      let begun = false;
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        const end = !begun || log.scrollHeight - log.scrollTop - log.clientHeight < 30;
        if (begun) log.append(value);
        else log.textContent = value;
        begun = true;
        if (log.textContent.length > 200000) log.textContent = log.textContent.slice(-100000);
        if (end) log.scrollTop = log.scrollHeight;
      }
    } catch (err) { /* it was closed, or the supervisor went: it is asked again */ } finally {
      if (follows) page.following--;
      if (this.stream === mine) {
        this.stream = null;
        if (follows && this.open && !mine.signal.aborted) setTimeout(() => this.open && this.followBuild(), 2000);
      }
    }
  }

  async act(action, query) {
    if (action === "stop" && !(await ask("Stop " + this.name + "? Its clients are turned away until it is started."))) return;
    if (action === "rollback" && !(await ask("Roll " + this.name + " back to " + decodeURIComponent(query.slice(4)) + "?"))) return;
    // What builds takes long, and is seen as it goes: nobody waits for its answer.
    const long = action === "rebuild" || action === "deploy";
    if (long) query = "?wait=no";
    const focused = document.activeElement, buttons = [...this.parts.acts.querySelectorAll("button")];
    buttons.forEach((b) => (b.disabled = true));
    try {
      const answer = await call("builds/" + this.name + "/" + action + (query || ""), { method: "POST", headers: { "Content-Type": "application/json" } });
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

// --- Asking a person -----------------------------------------------------------

function ask(question) {
  text($("ask-text"), question);
  $("ask").returnValue = "no";
  $("ask").showModal();
  return new Promise((done) => $("ask").addEventListener("close", () => done($("ask").returnValue === "yes"), { once: true }));
}

let gone = 0;
function toast(message) {
  text($("toast"), message);
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
  for (const card of page.builds.values()) { card.allowed(); card.stale(); }
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
  for (const card of page.builds.values()) card.close();
  $("events").replaceChildren();
  page.seen.clear();
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

// --- Beginning -----------------------------------------------------------------

look().catch(() => link(false));
refresh().then(refreshSamples);
follow();
setInterval(refresh, 5000);
setInterval(refreshSamples, 30000);
document.addEventListener("visibilitychange", () => {
  follow();
  for (const card of page.builds.values()) {
    if (document.hidden) card.close();
    else if (card.open) card.detail();
  }
  if (!document.hidden) { refresh(); refreshSamples(); }
});
