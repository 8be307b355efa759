"use strict";
// Charts of the last hour, drawn by uPlot, which is loaded when the first one is.

let library = null;

function loadCharts() {
  if (!library) {
    library = new Promise((done, failed) => {
      document.head.append(make("link", { rel: "stylesheet", href: "uplot.css" }),
        make("script", { src: "uplot.js", onload: done, onerror: () => { library = null; failed(new Error("the charts cannot be loaded")); } }));
    });
  }
  return library;
}

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

// kinds are the charts of a build: each has lines, and says its values.
const kinds = [
  { title: "Requests a second", words: rate, lines: [["all", "requests", (s) => s.requests && s.requests.per_second], ["5xx", "errors", (s) => s.requests && s.requests.errors_per_second]] },
  { title: "Time to respond", words: millis, lines: [["p95", "p95", (s) => s.requests && s.requests.p95_seconds], ["probe", "probe", (s) => s.latency_seconds]] },
  { title: "CPU, of one core", words: percent, lines: [["CPU", "cpu", (s) => (s.memory ? s.cpu : null)]] },
  { title: "Memory", words: mega, lines: [["memory", "memory", (s) => s.memory || null]] },
];

// A Chart shows one kind, with a line where a release took over.
class Chart {
  constructor(kind, group) {
    this.kind = kind;
    this.group = group;
    this.marks = [];
    this.box = make("div", { class: "plot", role: "img" });
    this.note = make("p", { class: "where" });
    this.node = make("figure", {}, make("figcaption", {}, kind.title), this.box, this.note);
  }

  // draw shows samples, of which there is one every so many seconds, and marks: [{at, label}].
  draw(samples, every, marks) {
    const { kind } = this, end = now() / 1000, from = end - 3600;
    this.marks = marks.filter((m) => m.at > from);
    const lines = kind.lines.map(([, , of]) => samples.map((s) => { const v = of(s); return v === undefined ? null : v; }));
    const known = lines.map((l) => l.filter((v) => v !== null));
    const said = kind.lines.map(([name], i) => (known[i].length ? name + " " + kind.words(known[i][known[i].length - 1]) + " now, at most " + kind.words(Math.max(...known[i])) : name + " not known"));
    this.box.setAttribute("aria-label", kind.title + " in the last hour: " + said.join("; ") + (this.marks.length ? "; " + count(this.marks.length, "release", "releases") + " took over" : ""));
    this.still = known.some((l) => l.length) ? "" : kind.lines[0][1] === "requests" ? "Nothing is known: the front passes this build nothing yet, or Nginx does." : "Nothing is known yet.";
    text(this.note, this.still);
    // A sample that is missing breaks the line.
    const times = [], values = kind.lines.map(() => []);
    samples.forEach((s, i) => {
      const t = Date.parse(s.time) / 1000;
      if (i > 0 && t - times[times.length - 1] > 2.5 * every) { times.push(times[times.length - 1] + every); values.forEach((v) => v.push(null)); }
      times.push(t);
      values.forEach((v, k) => v.push(lines[k][i]));
    });
    this.data = [times, ...values];
    this.range = [from, end];
    if (this.plot) {
      this.plot.setData(this.data, false);
      this.plot.setScale("x", { min: from, max: end });
    } else if (this.box.clientWidth > 0) this.begin();
  }

  begin() {
    const { kind } = this, soft = color("soft"), line = { stroke: color("line"), width: 1 };
    const font = "11px system-ui, sans-serif";
    const axis = { stroke: soft, grid: line, ticks: { ...line, size: 4 }, font };
    this.plot = new uPlot({
      width: this.box.clientWidth, height: 150,
      legend: { live: true, markers: { width: 2 } },
      cursor: { sync: { key: this.group }, points: { size: 6 }, y: false, drag: { setScale: false, x: false, y: false } },
      scales: { x: { time: true, auto: false, range: () => this.range }, y: { range: (u, min, max) => [0, max > 0 ? max * 1.1 : 1] } },
      axes: [
        { ...axis, space: 60, size: 26, values: (u, at) => at.map((t) => new Date(t * 1000).toLocaleTimeString([], { hour12: false, hour: "2-digit", minute: "2-digit" })) },
        { ...axis, size: 58, space: 32, values: (u, at) => at.map((v) => (v === 0 ? "0" : kind.words(v))) },
      ],
      series: [
        { label: "at", value: (u, t) => (t === null || t === undefined ? "" : clock(t * 1000)) },
        ...kind.lines.map(([label, shade], i) => ({
          label, stroke: color("plot-" + shade), width: 1.6, fill: i === 0 ? color("plot-" + shade) + "22" : undefined, points: { show: this.data[0].length < 3, size: 5 },
          value: (u, v, s, at) => kind.words(at === null || at === undefined ? this.last(i) : v),
        })),
      ],
      hooks: { draw: [(u) => this.drawMarks(u)], setCursor: [(u) => this.hover(u)] },
    }, this.data, this.box);
  }

  last(i) {
    const known = this.data[i + 1].filter((v) => v !== null);
    return known.length ? known[known.length - 1] : null;
  }

  drawMarks(u) {
    const g = u.ctx, { top, height, left, width } = u.bbox;
    g.save();
    g.strokeStyle = g.fillStyle = color("mark");
    g.lineWidth = devicePixelRatio;
    g.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
    for (const m of this.marks) {
      const x = u.valToPos(m.at, "x", true), r = 4 * devicePixelRatio;
      if (x < left || x > left + width) continue;
      g.beginPath();
      g.moveTo(x, top);
      g.lineTo(x, top + height);
      g.stroke();
      g.beginPath();
      g.moveTo(x - r, top);
      g.lineTo(x + r, top);
      g.lineTo(x, top + 1.5 * r);
      g.fill();
    }
    g.restore();
  }

  // hover says which release took over where the pointer is.
  hover(u) {
    const at = u.cursor.left;
    const near = at < 0 ? undefined : this.marks.find((m) => Math.abs(u.valToPos(m.at, "x") - at) < 8);
    text(this.note, near ? near.label : this.still);
    this.note.title = near ? near.label : "";
  }

  fit() {
    if (this.plot && this.box.clientWidth > 0) this.plot.setSize({ width: this.box.clientWidth, height: 150 });
  }

  end() {
    if (this.plot) this.plot.destroy();
    this.plot = null;
  }
}
