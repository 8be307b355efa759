"use strict";
// The logs of a build, as they are written.

const keptLines = 5000, shownLines = 2000;
const levels = ["all", "info", "warning", "error"];

// levelOf says how grave a line is; "": it does not say, and belongs to the one before.
function levelOf(line) {
  if (/\b(CRITICAL|FATAL|ERROR)\b|^Traceback \(most recent|\bEXCEPTION\b|^[\w.]+(Error|Exception): |" 5\d\d /.test(line)) return "error";
  if (/\b(WARN|WARNING)\b|\w+Warning: /.test(line)) return "warning";
  if (/\b(DEBUG|TRACE)\b/.test(line)) return "debug";
  if (/\b(INFO|NOTICE)\b|" [1-4]\d\d /.test(line)) return "info";
  return "";
}

const graver = { all: 0, debug: 1, info: 2, warning: 3, error: 4 };

class Log {
  constructor(name) {
    this.name = name;
    this.lines = [];
    const id = "log-" + name;
    this.which = make("select", { id: id + "-which", onchange: () => this.again() }, make("option", { value: "" }, "Output of the server"), make("option", { value: "build" }, "Last build"));
    this.search = make("input", { type: "search", id: id + "-search", placeholder: "Search", autocomplete: "off", spellcheck: "false", oninput: () => this.redraw() });
    this.level = make("select", { id: id + "-level", onchange: () => this.redraw() }, ...levels.map((l) => make("option", { value: l }, l === "all" ? "all lines" : l === "error" ? "errors" : l === "info" ? "info and graver" : "warnings and errors")));
    this.tail = make("input", { type: "checkbox", id: id + "-tail", checked: true, onchange: () => this.bottom() });
    this.found = make("span", { class: "where", role: "status" });
    this.box = make("pre", { class: "log", tabindex: "0", "aria-label": "Log of " + name, onscroll: () => this.scrolled() });
    const label = (of, words) => make("label", { for: of.id, class: "unseen" }, words);
    this.node = make("div", { class: "logs" }, make("div", { class: "tools" }, label(this.which, "Which log of " + name), this.which, label(this.search, "Search the log of " + name), this.search,
      label(this.level, "Which lines of " + name), this.level, make("label", { class: "tail" }, this.tail, "follow"), this.found), this.box);
  }

  // begin follows the log, until end is called.
  async begin() {
    if (this.stream || document.hidden || !page.read) return;
    const mine = (this.stream = new AbortController()), build = this.which.value === "build";
    try {
      const answer = await call("logs/" + encodeURIComponent(this.name) + "?lines=1000&follow=1" + (build ? "&build=1" : ""), { signal: mine.signal });
      if (!answer.ok) throw new Error("the supervisor answered " + answer.status);
      this.lines = [];
      this.box.replaceChildren();
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let rest = ""; ;) {
        const { done, value } = await reader.read();
        if (done) break;
        const lines = (rest + value).split("\n");
        rest = lines.pop();
        if (rest.length > 100000) { lines.push(rest); rest = ""; }
        this.add(lines);
      }
    } catch (err) { /* it was closed, or the supervisor went: it is asked again */ }
    if (this.stream === mine) {
      this.stream = null;
      if (!mine.signal.aborted) this.due = setTimeout(() => this.begin(), 2000);
    }
  }

  end() {
    clearTimeout(this.due);
    if (this.stream) this.stream.abort();
    this.stream = null;
  }

  again() {
    this.end();
    this.lines = [];
    this.box.replaceChildren();
    this.begin();
  }

  add(lines) {
    const fresh = lines.map((line) => {
      const said = plain(line.replace(/\u001b\[[0-9;?]*[A-Za-z]/g, "").replace(/\r$/, ""));
      const level = levelOf(said) || (this.lines.length && /^\s|^[\w.]+(Error|Exception)\b/.test(said) ? this.before : "") || "";
      this.before = level;
      const one = { said, level };
      this.lines.push(one);
      return one;
    });
    if (this.lines.length > keptLines) this.lines.splice(0, this.lines.length - keptLines);
    const shown = fresh.filter((l) => this.wanted(l));
    this.box.append(...shown.map((l) => this.line(l)));
    while (this.box.children.length > shownLines) this.box.firstChild.remove();
    this.tell();
    this.bottom();
  }

  wanted(l) {
    const search = this.search.value.toLowerCase(), level = this.level.value;
    return (level === "all" || (graver[l.level] || 0) >= graver[level]) && (!search || l.said.toLowerCase().includes(search));
  }

  // line is one, with what was searched for marked.
  line(l) {
    const search = this.search.value.toLowerCase(), node = make("div", { class: l.level });
    let from = 0;
    for (let at; search && (at = l.said.toLowerCase().indexOf(search, from)) >= 0; from = at + search.length) {
      node.append(l.said.slice(from, at), make("mark", {}, l.said.slice(at, at + search.length)));
    }
    node.append(l.said.slice(from) || "\u200b");
    return node;
  }

  redraw() {
    this.box.replaceChildren(...this.lines.filter((l) => this.wanted(l)).slice(-shownLines).map((l) => this.line(l)));
    this.tell();
    this.bottom();
  }

  tell() {
    const narrowed = this.search.value || this.level.value !== "all";
    text(this.found, narrowed ? this.lines.filter((l) => this.wanted(l)).length + " of " + count(this.lines.length, "line", "lines") : "");
  }

  bottom() {
    if (!this.tail.checked) return;
    this.box.scrollTop = this.box.scrollHeight;
  }

  // scrolled stops following where somebody scrolls up to read, and goes on at the end.
  scrolled() {
    const left = this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight;
    if (left < 4) this.tail.checked = true;
    else if (this.box.scrollTop < this.top) this.tail.checked = false;
    this.top = this.box.scrollTop;
  }
}
