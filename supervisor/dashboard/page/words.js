"use strict";
// How the page makes elements, and how it says times, sizes and states. Text is only ever set as
// text: names, reasons, commits and logs hold what other people and builds wrote.

const $ = (id) => document.getElementById(id);

// make builds an element: make("p", {class: "x", onclick: f}, "text", child).
function make(tag, props, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (name.startsWith("on")) e.addEventListener(name.slice(2), value);
    else if (value === true) e.setAttribute(name, "");
    else if (value !== false && value !== undefined && value !== null) e.setAttribute(name, value);
  }
  e.append(...children.filter((c) => c !== null && c !== undefined && c !== false));
  return e;
}

// Some characters move or hide what stands beside them; shown as they are, a commit's subject could
// look like another text than it is.
const unsafe = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069\ufeff]/g;
const plain = (value) => String(value).replace(unsafe, "\ufffd");

function text(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

const looks = {
  running: ["good", "●"], stopped: ["off", "■"], building: ["busy", "▲"], starting: ["busy", "▲"], stopping: ["busy", "▼"],
  unhealthy: ["bad", "✚"], backoff: ["bad", "↻"], failed: ["bad", "✖"],
};

const degraded = (b) => b.state === "running" && b.replicas.ready < b.replicas.want;
const faulty = (p) => p.state === "backoff" || p.state === "stopped";

// lookOf says how a build is: a class, a sign and a word.
function lookOf(b) {
  const [kind, sign] = looks[b.state] || ["off", "?"];
  if (degraded(b)) return ["less", "◐", "running, " + b.replicas.ready + " of " + b.replicas.want];
  if (b.state === "running" && b.build_error && !b.building) return ["less", "◐", "running, build failed"];
  if (b.state === "running" && (b.processes || []).some(faulty)) return ["less", "◐", "running, process down"];
  if (b.state === "running" && b.reason) return ["less", "◐", "running, with trouble"];
  if (b.state === "running" && (b.building || b.proving)) return ["busy", "▲", "running, building"];
  return [kind, sign, b.state];
}

// groups are what the list can be narrowed to, and its order: trouble first.
const groups = { bad: "trouble", less: "trouble", busy: "busy", good: "running", off: "stopped" };
const order = { bad: 0, less: 1, busy: 2, good: 3, off: 4 };

const troubles = new Set(["exited", "build_failed", "candidate_failed", "unhealthy", "gave_way", "out_of_memory", "replica_failed", "process_exited", "schedule_failed", "static_files_failed"]);

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

const page = {
  builds: new Map(),   // name -> Row
  events: new Map(),   // name -> its events, oldest first
  seen: new Set(),
  status: null,
  ahead: 0,            // milliseconds by which the supervisor's clock is ahead of ours
  key: sessionStorage.getItem("key") || "", // one half of a session; the other is a cookie
  read: false,         // logs and output are shown
  write: false,        // builds may be acted on
};

const never = (time) => !time || time.startsWith("0001");
const now = () => Date.now() + page.ahead;
const began = Date.now();
const ago = (time) => (never(time) ? "–" : span((now() - Date.parse(time)) / 1000));
const date = (time) => new Date(time).toLocaleString([], { dateStyle: "medium", timeStyle: "medium", hour12: false });
const clock = (time) => new Date(time).toLocaleTimeString([], { hour12: false });
const mega = (bytes) => (bytes ? (bytes >= 1048576000 ? (bytes / 1073741824).toFixed(1) + " GB" : Math.max(1, Math.round(bytes / 1048576)) + " MB") : "–");
const millis = (s) => (s === null || s === undefined ? "–" : s < 0.0005 ? "0 ms" : s < 1 ? (s * 1000).toFixed(s < 0.01 ? 1 : 0) + " ms" : s.toFixed(s < 10 ? 1 : 0) + " s");
const rate = (n) => (n === null || n === undefined ? "–" : n === 0 ? "0" : n < 0.1 ? n.toFixed(2) : n < 10 ? n.toFixed(1) : String(Math.round(n)));
const percent = (n) => (n === null || n === undefined ? "–" : n > 0 && n < 0.095 ? (100 * n).toFixed(1) + " %" : Math.round(100 * n) + " %");
const words = (event) => event.replaceAll("_", " ");
const count = (n, one, many) => n + " " + (n === 1 ? one : many);
const firstLine = (value) => plain(value || "").split("\n", 1)[0];

// commit is a line about a commit; who may only look gets no more than its hash.
function commit(c) {
  if (!c) return "";
  return plain(c.hash.slice(0, 10) + (c.branch ? " on " + c.branch : "") + (c.subject ? ", " + c.subject : "") + (c.author ? " (" + c.author + ")" : "") +
    (c.changed ? ", " + count(c.changed, "file", "files") + " changed since" : ""));
}

// remedy is what to do about a build, in the supervisor's words.
const remedy = (b) => (b.remedy ? "What to do: " + plain(b.remedy) + "." : "");

// older is the release that served before, as far as it is kept.
function older(b) {
  const i = b.releases.indexOf(b.release);
  return i > 0 ? b.releases[i - 1] : "";
}

// linkTo is the address of a build's public path: that of the front, or else of whatever serves this
// host's web.
function linkTo(location_) {
  const front = page.status && page.status.front.address, port = front ? front.slice(front.lastIndexOf(":") + 1) : "";
  const at = new URL(location.protocol + "//" + location.hostname + (front ? ":" + port : ""));
  if (front) at.protocol = "http:";
  at.pathname = location_.endsWith("/") ? location_ : location_ + "/";
  return at.href;
}
