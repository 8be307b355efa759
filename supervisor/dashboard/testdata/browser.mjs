// Opens the dashboard in a headless Chromium, with 1, 10 and 50 builds of a real supervisor:
//   node supervisor/dashboard/testdata/browser.mjs test       holds what docs/dashboard.md promises, and says what it measured
//   node supervisor/dashboard/testdata/browser.mjs pictures   makes docs/dashboard.png
//   node supervisor/dashboard/testdata/browser.mjs look DIR   a picture of every width, theme and number of builds, for a person to look at
//   node supervisor/dashboard/testdata/browser.mjs serve      prints addresses and goes on until it is ended
// PAGE=supervisor/dashboard/page has the browser take the page's files from there, and PORT="DASHBOARD FRONT" from a world that is served.
// .ci/test-dashboard brings what it needs: SUPERVISOR (the binary), CHROMIUM, and MODULES (a folder with playwright-core and axe-core).
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const need = createRequire(join(process.env.MODULES, "x.js"));
const { chromium } = need("playwright-core");
const axe = readFileSync(need.resolve("axe-core/axe.min.js"), "utf8");
const [mode, folder] = process.argv.slice(2);
const patience = 900_000; // a machine that is busy with other tests
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const token = "0123456789abcdef0123";

// server is a build's: it says what it is asked, on one connection after the other.
const server = `import os, socket, sys, time
if os.path.exists(os.environ["CRASH"]):
    sys.exit("ImproperlyConfigured: the database is gone")
print("INFO listening", flush=True)
listener = socket.socket(fileno=3)
while True:
    client, _ = listener.accept()
    with client:
        head = client.recv(65536).decode("latin1")
        path = head.split(" ")[1] if " " in head else "/"
        status = "500 Internal Server Error" if "fail" in path else "200 OK"
        if "slow" in path:
            time.sleep(.12)
        if "say" in path:
            print("INFO said at %.3f <b>bold</b>" % (time.time() * 1000), flush=True)
        elif "fail" in path:
            print('ERROR "GET %s" 500: medicine 4711 has no unit' % path, flush=True)
        elif path != "/":
            print('INFO "GET %s HTTP/1.1" %s' % (path, status[:3]), flush=True)
        try:
            client.sendall(("HTTP/1.1 %s\\r\\nConnection: close\\r\\nContent-Length: 2\\r\\n\\r\\nok" % status).encode())
        except OSError:
            pass
`;

const hostile = '<img src=x onerror="document.title=666"> Prescriptions: round doses <script>alert(1)</script>';

async function freePort() {
  const s = net.createServer().listen(0, "127.0.0.1");
  await new Promise((done) => s.once("listening", done));
  const { port } = s.address();
  await new Promise((done) => s.close(done));
  return port;
}

function ask(port, path) {
  return new Promise((done) => {
    const r = http.get({ host: "127.0.0.1", port, path, agent: false }, (a) => { a.resume(); a.on("end", () => done(a.statusCode)); a.on("error", () => done(0)); });
    r.on("error", () => done(0));
  });
}

// World is a supervisor with so many builds, some of which are in trouble where there are enough.
class World {
  async begin(n) {
    this.dir = mkdtempSync(join(tmpdir(), "dashboard-"));
    const app = join(this.dir, "src", "API"), settings = join(app, "api_settings", "settings");
    mkdirSync(settings, { recursive: true });
    mkdirSync(join(this.dir, "root"));
    writeFileSync(join(this.dir, "src", "requirements.txt"), "");
    for (const f of ["manage.py", "api_settings/__init__.py", "api_settings/wsgi.py", "api_settings/settings/__init__.py", "api_settings/settings/common.py"]) writeFileSync(join(app, f), "");
    writeFileSync(join(app, "server.py"), server);
    writeFileSync(join(this.dir, "token"), token + "\n", { mode: 0o600 });
    this.front = await freePort();
    this.port = await freePort();
    const first = ["development", "testing", "production", "training"], wards = ["ward", "clinic", "pharmacy", "trial", "archive"];
    this.names = Array.from({ length: n }, (_, i) => first[i] || wards[i % wards.length] + "_" + String(i).padStart(2, "0"));
    this.broken = n >= 10 ? this.names[5] : "";
    this.crashing = n >= 10 ? this.names[7] : "";
    const never = n >= 10 ? this.names[8] : ""; // builds
    this.git("init", "-q");
    let toml = `root = "${this.dir}/root"\n[supervisor]\nmax_parallel_builds = 4\nfront = "127.0.0.1:${this.front}"\ndashboard = "127.0.0.1:${this.port}"\ndashboard_write = "token"\n` +
      `[defaults]\nsource = "${this.dir}/src"\ncheck = false\ncollectstatic = false\nstable_after = "1s"\ncommand = ["{python}", "-S", "server.py"]\n`;
    this.names.forEach((name, i) => {
      this.settings(name, name === never ? "BROKEN = 1\n" : "");
      toml += `[[build]]\nname = "${name}"\nlocation = "/${name === "development" ? "api" : name === "testing" ? "testapi" : name}"\nenv = { CRASH = "${this.dir}/crash-${name}" }\n`;
      if (n >= 10 && i % 16 === 9) toml += "autostart = false\n";
      toml += `steps = { before_migrate = [["sh", "-c", "! grep BROKEN {app}/api_settings/settings/deploy_${name}.py"]] }\n`;
      if (i === 0) {
        toml += `[[build.process]]\nname = "worker"\ncommand = ["sleep", "1000000"]\ncount = 2\n[[build.schedule]]\nname = "nightly_report"\ncommand = ["true"]\ncron = "30 2 * * *"\n`;
      }
      if (n >= 10 && i === 3) toml += `[[build.process]]\nname = "worker"\ncommand = ["false"]\n`;
    });
    writeFileSync(join(this.dir, "builds.toml"), toml);
    this.commit(mode === "test" ? hostile : "Prescriptions: round doses to whole tablets", mode === "test" ? "Dr <b>Mallory</b>" : "Grace Hopper");
    this.child = spawn(process.env.SUPERVISOR, ["-c", join(this.dir, "builds.toml")], { stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, MEDCTRL_TRUSTED_USERS: String(process.getuid()) } });
    this.said = "";
    this.child.stderr.on("data", (d) => (this.said = (this.said + d).slice(-20_000)));
    this.child.on("exit", () => (this.gone = true));
    await this.until((all) => all.every((b) => ["running", "stopped", "failed"].includes(b.state)));
    this.commit("Medicines: list by ward", "Ada Lovelace");
    if (this.broken) {
      this.settings(this.broken, "X = 2\n"); // a second release, to go back from
      await this.until((all) => all.find((b) => b.name === this.broken).releases.length > 1);
    }
    if (this.broken) { this.settings(this.broken, "BROKEN = 1\n"); await this.until((all) => all.find((b) => b.name === this.broken).build_error); }
    if (this.crashing) {
      writeFileSync(join(this.dir, "crash-" + this.crashing), "");
      this.act(this.crashing, "restart");
      await this.until((all) => all.find((b) => b.name === this.crashing).reason);
    }
    this.settings(this.names[0], "X = 2\n");
    await this.until((all) => all[0].releases.length > 1);
    for (let i = 0; i < Math.min(n, 20); i++) this.load(this.names[i], i);
    return this;
  }

  git(...args) { execFileSync("git", ["-C", join(this.dir, "src"), "-c", "user.email=x@example.org", ...args]); }
  commit(subject, author) { this.git("add", "-A"); this.git("-c", "user.name=" + author, "commit", "--allow-empty", "-qm", subject); }
  settings(name, more) { writeFileSync(join(this.dir, "src", "API", "api_settings", "settings", `deploy_${name}.py`), "A = 1\n" + more); }
  path(name) { return name === "development" ? "/api" : name === "testing" ? "/testapi" : "/" + name; }

  async load(name, i) {
    for (let k = 0; !this.ended; k++) {
      await ask(this.front, this.path(name) + (i === 2 && k % 9 === 0 ? "/fail/4711" : k % 7 === 0 ? "/slow" : "/medicines/" + k));
      await pause(200 + 150 * i);
    }
  }

  async act(name, action) {
    const r = http.request({ host: "127.0.0.1", port: this.port, path: `/v1/builds/${name}/${action}?wait=no`, method: "POST", headers: { Authorization: "Bearer " + token }, agent: false }, (a) => a.resume());
    r.on("error", () => {});
    r.end();
  }

  async builds() {
    try {
      const answer = await fetch(`http://127.0.0.1:${this.port}/v1/status`, { headers: { Authorization: "Bearer " + token } });
      return (await answer.json()).builds;
    } catch { return null; }
  }

  async until(holds) {
    for (const end = Date.now() + patience; Date.now() < end && !this.gone; await pause(100)) {
      const all = await this.builds();
      if (all && holds(all)) return;
    }
    throw new Error("the builds do not come to be as they should: " + JSON.stringify((await this.builds() || []).map((b) => [b.name, b.state, b.reason, b.build_error])).slice(0, 2000) + "\n" + this.said.slice(-3000));
  }

  async end() {
    this.ended = true;
    if (this.child && !this.gone) {
      this.child.kill("SIGTERM");
      for (const end = Date.now() + 60_000; !this.gone && Date.now() < end; await pause(50));
      if (!this.gone) this.child.kill("SIGKILL");
    }
    if (this.dir) rmSync(this.dir, { recursive: true, force: true });
  }
}

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"] });

const wrong = []; // what the pages complained of
const failed = [];
const hold = (good, what) => { console.log((good ? "ok    " : "FAIL  ") + what); if (!good) failed.push(what); };

async function open(w, { width = 1440, height = 1080, theme = "light", unlocked = true, hash = "" } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, locale: "en-GB" });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  page.on("console", (m) => { if (["error", "warning"].includes(m.type())) wrong.push(m.text()); });
  page.on("pageerror", (e) => wrong.push(String(e)));
  await page.addInitScript(() => {
    // When all rows are there to be painted: the frame after the one in which they are.
    new MutationObserver((_, o) => {
      if (!document.querySelector("#builds tbody.build")) return;
      o.disconnect();
      requestAnimationFrame(() => setTimeout(() => (window.rowsAt = performance.now()), 0));
    }).observe(document, { childList: true, subtree: true });
  });
  if (process.env.PAGE) { // files of the page that are not in the binary yet
    await page.route("**/*", (route) => {
      const name = new URL(route.request().url()).pathname.slice(1) || "index.html";
      return name.startsWith("v1/") ? route.continue() : route.fulfill({ path: join(process.env.PAGE, name) });
    });
  }
  await page.goto(`http://127.0.0.1:${w.port}/${hash}`);
  await page.waitForSelector("#builds tbody.build");
  if (unlocked) {
    await page.fill("#token", token);
    await page.keyboard.press("Enter");
    await page.waitForSelector("#lock:not([hidden])");
    await page.waitForSelector("#builds table.acting");
  }
  return page;
}

async function serious(page) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  return found.violations.filter((v) => ["serious", "critical"].includes(v.impact)).map((v) => v.id + ": " + v.nodes.slice(0, 3).map((n) => n.html.slice(0, 120) + " " + (n.any[0] || {}).message).join(" | "));
}

// holdAll tests a world of n builds.
async function holdAll(w, n) {
  const fresh = await open(w, { unlocked: false });
  await fresh.waitForFunction(() => window.rowsAt);
  const at = [], own = await fresh.context().newCDPSession(fresh);
  await own.send("Performance.enable", { timeDomain: "threadTicks" });
  for (let i = 0; i < 5; i++) {
    await fresh.reload();
    await fresh.waitForFunction(() => window.rowsAt && performance.getEntriesByName("first-contentful-paint").length);
    at.push(await fresh.evaluate(() => [performance.getEntriesByName("first-contentful-paint")[0].startTime, window.rowsAt]));
    const { metrics } = await own.send("Performance.getMetrics"); // of this load, without what others of the machine took
    at[i].push(1000 * metrics.find((m) => m.name === "TaskDuration").value);
  }
  const median = (k) => at.map((x) => x[k]).sort((a, b) => a - b)[2];
  console.log(`      ${n} builds: first paint after ${median(0).toFixed(0)} ms, all rows after ${median(1).toFixed(0)} ms, the page's own processor time ${median(2).toFixed(0)} ms (medians of 5)`);
  hold(median(0) < 200, `${n} builds: first paint under 200 ms`);
  await fresh.context().close();

  for (const theme of ["light", "dark"]) {
    for (const width of [360, 768, 1440]) {
      const page = await open(w, { width, theme, hash: "#development" });
      await page.waitForSelector("#build-development .uplot canvas");
      await page.waitForSelector("#build-development .deploys .mono");
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      hold(wide <= width, `${n} builds at ${width}, ${theme}: nothing is wider than the page (${wide})`);
      const found = await serious(page);
      hold(found.length === 0, `${n} builds at ${width}, ${theme}: axe finds nothing serious ${found.join("\n        ")}`);
      await page.context().close();
    }
  }
  const page = await open(w);
  const rows = await page.$$eval("#builds tbody.build", (all) => all.length);
  const end = await page.$eval("#builds table", (t) => t.getBoundingClientRect().bottom);
  hold(rows === n, `${rows} rows of ${n}`);
  if (n > 1) hold(end <= 1080, `${n} builds end at line ${Math.round(end)} of 1080`);
  if (n >= 10) {
    const kinds = await page.$$eval("#builds tbody.build > .line", (all) => all.map((l) => l.classList[1]));
    const ranks = kinds.map((k) => ["bad", "less", "busy", "good", "off"].indexOf(k));
    hold(ranks[0] === 0 && ranks.filter((r) => r === 1).length >= 2 && ranks.every((r, i) => i === 0 || ranks[i - 1] <= r), "trouble comes first: " + kinds.slice(0, 6));
    const offers = await page.$eval(`#build-${w.broken} .line .acts`, (c) => c.innerText);
    hold(/Restart/.test(offers) && /Roll back/.test(offers), `the row of ${w.broken} offers ${JSON.stringify(offers)}`);
    await page.fill("#filter", "production");
    const left = await page.$$eval("#builds tbody.build", (all) => all.filter((b) => b.checkVisibility()).map((b) => b.id));
    hold(left.length === 1 && left[0] === "build-production", "the filter leaves " + left);
  }
  await page.context().close();

  if (n === 1) {
    const page = await open(w);
    await page.waitForSelector("#build-development .deploys .commit");
    const title = await page.title(), commits = await page.$$eval(".deploys .commit", (all) => all.map((c) => c.innerText));
    hold(commits.some((c) => c.includes("<img src=x onerror=")) && !title.includes("666"), "a hostile commit is text");
    const href = await page.$eval("#build-development a.where", (a) => a.href);
    hold(href === `http://127.0.0.1:${w.front}/api/`, "the public path is a link: " + href);
    await page.evaluate(() => {
      window.took = [];
      new MutationObserver((all) => {
        for (const m of all) for (const node of m.addedNodes) {
          const at = /said at ([\d.]+)/.exec(node.textContent);
          if (at) window.took.push(Date.now() - Number(at[1]));
        }
      }).observe(document.querySelector("#build-development .logs pre"), { childList: true });
    });
    for (let i = 0; i < 20; i++) { await ask(w.front, "/api/say"); await pause(50); }
    await page.waitForFunction(() => window.took.length >= 20);
    const took = (await page.evaluate(() => window.took)).sort((a, b) => a - b);
    console.log(`      a log line reaches the page after ${took[10].toFixed(0)} ms (median of 20), at most ${took[19].toFixed(0)}`);
    hold(took[10] < 100, "a log line reaches the page within 100 ms");
    await page.fill("#log-development-search", "said at");
    const shown = await page.$$eval(".logs pre div", (all) => all.every((d) => d.querySelector("mark")));
    hold(shown && !(await page.$(".logs pre b")), "the search leaves what it finds, as text");
    await page.fill("#log-development-search", "");
    await page.click("#build-development td.name button");
    hold(!(await page.url()).includes("#development"), "closing forgets the address");
    await page.evaluate(() => (location.hash = "#development"));
    await page.waitForSelector("#build-development .details");
    await page.context().close();
  }
}

async function picture(w, path, options) {
  const page = await open(w, options);
  if (options.hash) { await page.waitForSelector(options.hash.replace("#", "#build-") + " .uplot canvas"); await pause(700); }
  await page.evaluate(() => scrollTo(0, 0));
  await pause(300);
  await page.screenshot({ path, fullPage: options.full || false });
  await page.context().close();
}

try {
  const sizes = (process.env.SIZES || (mode === "pictures" ? "10" : "1 10 50")).split(" ").map(Number);
  for (const n of sizes) {
    const w = new World();
    try {
      console.log(`      ${n} builds begin`);
      if (process.env.PORT) [w.port, w.front] = process.env.PORT.split(" ");
      else await w.begin(n);
      if (mode === "serve") {
        console.log(`${w.port} ${w.front}`);
        await new Promise((done) => { process.on("SIGTERM", done); process.on("SIGINT", done); });
        continue;
      }
      if (mode === "test") await holdAll(w, n);
      else {
        // Charts need some time to have something to show: a sample is taken every 30 s.
        await pause(1000 * Number(process.env.WAIT || (mode === "pictures" ? 900 : 100)));
        if (mode === "pictures") await picture(w, "docs/dashboard.png", { width: 1280, height: 1000, hash: "#development" });
        else {
          for (const theme of ["light", "dark"]) for (const width of [360, 768, 1440]) {
            await picture(w, join(folder, `${n}-${width}-${theme}.png`), { width, theme });
            await picture(w, join(folder, `${n}-${width}-${theme}-open.png`), { width, theme, hash: "#development", full: width === 360 });
          }
        }
      }
    } finally { await w.end(); }
  }
  if (mode === "test") hold(wrong.length === 0, "the pages complain of nothing " + [...new Set(wrong)].join("\n        "));
} finally { await browser.close(); }
process.exit(failed.length ? 1 : 0);
