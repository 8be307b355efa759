"use strict";
// What is shown of one build below its row: charts, deploys, processes, schedules and logs.

class Details {
  constructor(row) {
    this.row = row;
    const name = (this.name = row.name);
    this.parts = {};
    const part = (key, node) => (this.parts[key] = node);
    const act = (action, label, danger) => part(action, make("button", { type: "button", class: danger ? "danger" : "", onclick: () => row.act(action) }, label));
    this.charts = kinds.map((kind) => new Chart(kind, "build-" + name));
    this.log = new Log(name);
    const section = (key, title, ...content) => part(key, make("section", {}, make("h3", {}, title), ...content));
    this.node = make("div", { class: "details" },
      part("facts", make("p", { class: "where facts" })),
      part("note", make("p", { class: "note", hidden: true })),
      part("acts", make("div", { class: "acts", hidden: true }, act("deploy", "Deploy"), act("restart", "Restart"), act("rebuild", "Rebuild"), act("start", "Start"), act("stop", "Stop", true))),
      make("div", { class: "charts" }, ...this.charts.map((c) => c.node)),
      make("div", { class: "columns" },
        section("deploysSection", "Deploys", part("deploys", make("ol", { class: "deploys", "aria-label": "Deploys of " + name }))),
        make("div", {},
          section("processesSection", "Processes", part("processes", make("ul", { class: "processes", "aria-label": "Processes of " + name }))),
          section("schedulesSection", "Schedules", part("schedules", make("ul", { class: "schedules", "aria-label": "Schedules of " + name }))),
          section("logSection", "Log", part("locked", make("p", { class: "where" }, "Logs and output are shown to those who enter the token to read them.")), this.log.node))));
    this.resized = new ResizeObserver(() => this.charts.forEach((c) => c.fit()));
  }

  // begin shows it all, until end is called.
  begin() {
    this.open = true;
    this.resized.observe(this.node);
    this.detail();
    this.samples();
    this.log.begin();
  }

  end() {
    this.open = false;
    clearTimeout(this.due);
    this.resized.disconnect();
    this.charts.forEach((c) => c.end());
    this.log.end();
  }

  stale() { if (this.open) { clearTimeout(this.due); this.due = setTimeout(() => { this.detail(); this.samples(); }, 60); } }

  draw(b) {
    const p = this.parts;
    const why = [b.reason, b.build_error && b.build_error !== b.reason ? "The last build failed: " + b.build_error : "", ...(b.warnings || []), remedy(b)].filter(Boolean);
    p.note.hidden = why.length === 0;
    p.note.className = "note" + (lookOf(b)[0] === "bad" || b.build_error ? " bad" : "");
    text(p.note, plain(why.join("\n")));
    text(p.facts, [b.release ? "release " + b.release : "no release yet", commit(b.commit), b.proving ? "checking " + b.proving : "", b.pinned ? "pinned" : "", b.building ? "building: " + (b.build_progress || "waiting for its turn") : "",
      b.last_exit ? "last exit: " + plain(b.last_exit) : ""].filter(Boolean).join(" · "));
    p.start.disabled = b.state !== "stopped" && b.state !== "backoff" && b.state !== "failed";
    p.stop.disabled = b.state === "stopped" || b.state === "stopping";
    p.restart.disabled = !b.release;
    p.deploy.disabled = b.state === "stopped" || b.state === "stopping";
    this.allowed();
  }

  // allowed shows only what we may see and do.
  allowed() {
    const p = this.parts;
    p.acts.hidden = !page.write;
    this.log.node.hidden = !page.read;
    p.locked.hidden = page.read;
    if (this.open && page.read) this.log.begin();
    if (!page.read) { this.log.end(); this.log.add([]); }
  }

  async samples() {
    try {
      await loadCharts();
      const got = await get("samples?build=" + encodeURIComponent(this.name));
      if (!this.open) return;
      this.every = got.every_seconds;
      this.kept = got.builds[this.name] || [];
      this.chart();
    } catch (err) { /* refresh says that the supervisor is away */ }
  }

  chart() {
    if (!this.kept) return;
    const marks = new Map();
    for (const r of (this.known && this.known.history) || []) if (!never(r.since)) marks.set(r.since.slice(0, 19), { at: Date.parse(r.since) / 1000, label: "Release " + r.release + " took over at " + clock(r.since) + (r.commit ? ": " + commit(r.commit) : "") });
    for (const e of page.events.get(this.name) || []) {
      if (e.event === "took_over" && !marks.has(e.time.slice(0, 19))) marks.set(e.time.slice(0, 19), { at: Date.parse(e.time) / 1000, label: "Release " + e.release + " took over at " + clock(e.time) });
    }
    this.charts.forEach((c) => c.draw(this.kept, this.every, [...marks.values()]));
  }

  async detail() {
    let d;
    try { d = await get("builds/" + encodeURIComponent(this.name)); } catch (err) { return; }
    if (!this.open) return;
    this.known = d;
    const there = d.status.elsewhere || { processes: [], schedules: [] };
    this.deploys(d);
    this.processes(d.status.processes || [], there);
    this.schedules(d.status.schedules || [], there);
    this.chart();
  }

  // deploys draws the timeline anew where it has changed: who has a button in focus is not to lose it.
  deploys(d) {
    const all = this.timeline(d), drawn = JSON.stringify([all, page.write, d.status.state]);
    if (drawn === this.drawn) {
      for (const node of this.parts.deploys.querySelectorAll("[data-age]")) text(node, ago(node.dataset.age) + " ago");
      return;
    }
    this.drawn = drawn;
    const focused = document.activeElement && document.activeElement.dataset.release;
    this.parts.deploys.replaceChildren(...all.map((one) => this.entry(one)));
    if (!all.length) this.parts.deploys.append(make("li", { class: "where" }, "None yet."));
    const again = focused && this.parts.deploys.querySelector('[data-release="' + CSS.escape(focused) + '"]');
    if (again) again.focus();
  }

  // timeline is one entry for each deploy, the newest first: releases that are kept, and builds that failed.
  timeline(d) {
    const events = page.events.get(this.name) || [], last = d.last_build;
    const all = d.history.map((r) => ({ ...r, time: r.built, steps: r.steps || (last && last.release === r.release ? last.steps : []),
      then: events.filter((e) => e.release === r.release && ["proved", "took_over", "candidate_failed", "gave_way"].includes(e.event)).slice(-6).map((e) => ({ event: e.event, time: e.time, reason: e.reason })) }));
    const oldest = d.history.length ? d.history[d.history.length - 1].built : "";
    const failed = events.filter((e) => e.event === "build_failed" && e.time >= oldest);
    const why = (e) => firstLine(e.reason).replace(/; (not )?tried again .*$/, ""); // the times differ, and it is the same failure
    failed.forEach((e, i) => {
      const same = i + 1 < failed.length && why(failed[i + 1]) === why(e) && !d.history.some((r) => r.built > e.time && r.built < failed[i + 1].time);
      if (same) { failed[i + 1] = { ...failed[i + 1], times: (e.times || 1) + 1 }; return; }
      const steps = last && last.result === "failed" && i === failed.length - 1 ? last.steps : [];
      all.push({ release: "", time: e.time, failed: firstLine(e.reason), times: e.times || 1, steps, then: [], by: e.by });
    });
    if (last && last.result === "running") all.push({ release: "", time: last.started, running: true, steps: last.steps, then: [] });
    return all.sort((a, b) => (a.time < b.time ? 1 : -1)).slice(0, 30);
  }

  entry(r) {
    const steps = r.steps.filter((s) => !s.skipped), took = steps.reduce((sum, s) => sum + s.took_seconds, 0);
    let fate = "never served", kind = "off";
    if (r.running) [fate, kind] = ["building", "busy"];
    else if (r.failed !== undefined) [fate, kind] = ["build failed" + (r.times > 1 ? ", " + r.times + " times" : ""), "bad"];
    else if (r.serves) [fate, kind] = ["serving for " + ago(r.since), "good"];
    else if (r.bad) [fate, kind] = ["not used: " + firstLine(r.bad), "bad"];
    else if (!never(r.until)) fate = "served until " + ago(r.until) + " ago" + (r.ended ? ": " + firstLine(r.ended) : "");
    else if (!never(r.since)) fate = "served since " + date(r.since);
    const back = page.write && r.release && !r.serves &&
      make("button", { type: "button", "data-release": r.release, "aria-label": "Roll back to " + r.release, onclick: () => this.row.act("rollback", r.release) }, "Roll back");
    return make("li", { class: kind },
      make("div", { class: "head" }, make("time", { datetime: r.time, title: date(r.time), "data-age": r.time }, ago(r.time) + " ago"), r.release ? make("span", { class: "mono" }, r.release) : null, make("span", { class: "fate " + kind }, fate), back),
      r.commit ? make("p", { class: "commit" }, commit(r.commit)) : null,
      r.failed ? make("p", { class: "bad" }, r.failed) : null,
      (r.because && r.because.length) || r.by ? make("p", { class: "where" }, [r.because && r.because.length ? "because: " + plain(r.because.join(", ")) : "", r.by ? "asked for by " + plain(r.by) : ""].filter(Boolean).join(" · ")) : null,
      steps.length + r.then.length ? make("p", { class: "steps" }, ...(took ? [make("span", {}, (r.release ? "built in " : "took ") + millis(took))] : []), ...steps.map((s) => make("span", {}, s.step + " " + millis(s.took_seconds))),
        ...r.then.map((e) => make("span", { class: troubles.has(e.event) ? "bad" : "", title: e.reason ? firstLine(e.reason) : date(e.time) }, (e.event === "proved" ? "passed its check" : words(e.event)) + " " + clock(e.time)))) : null);
  }

  // processes says what runs beside the server, an instance a line.
  processes(all, there) {
    const p = this.parts;
    p.processesSection.hidden = all.length + there.processes.length === 0;
    p.processes.replaceChildren(...all.map((i) => {
      const lines = [i.state + (i.since ? " for " + ago(i.since) : "")];
      if (i.next_try) lines.push("starts again at " + clock(i.next_try));
      lines.push(count(i.restarts, "restart", "restarts"));
      if (i.release && i.release !== this.row.status.release) lines.push("release " + i.release);
      if (i.last_exit) lines.push("last exit: " + plain(i.last_exit));
      return make("li", { class: faulty(i) ? "bad" : "" }, make("b", {}, i.name + "." + (i.index + 1)), " – " + lines.join("; "));
    }), ...there.processes.map((name) => make("li", {}, make("b", {}, plain(name)), " – runs on " + plain(there.host))));
  }

  // schedules says when commands run, and how their last runs went.
  schedules(all, there) {
    const p = this.parts;
    p.schedulesSection.hidden = all.length + there.schedules.length === 0;
    p.schedules.replaceChildren(...all.map((s) => {
      const r = s.last;
      const lines = [s.trouble ? "cannot run: " + plain(s.trouble) : s.next ? "next " + new Date(s.next).toLocaleString([], { hour12: false }) : "does not run while the build is as it is"];
      if (s.running) lines.push(s.running === 1 ? "running" : s.running + " running");
      if (r) lines.push("last " + ago(r.started) + " ago: " + words(r.result) + ", " + plain(r.exit) + (r.result === "unknown" ? ", at most " + millis(r.took_seconds) + " after it began" : " after " + millis(r.took_seconds)));
      return make("li", { class: r && (r.result === "failed" || r.result === "timed_out") ? "bad" : "" },
        make("b", {}, s.name), " " + (s.every ? "every " + s.every : s.cron + " " + (s.timezone || "")) + " – " + lines.join("; "),
        ...(page.read && r && r.output.length ? [make("pre", { class: "log", tabindex: "0", "aria-label": "Output of " + s.name }, r.output.map(plain).join("\n"))] : []));
    }), ...there.schedules.map((name) => make("li", {}, make("b", {}, plain(name)), " – runs on " + plain(there.host))));
  }
}
