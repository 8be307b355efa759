package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// page is a tab of a headless Chromium.
type page struct {
	t   *testing.T
	ctx context.Context

	mu    sync.Mutex
	wrong []string // what the page's scripts and the browser complained of
}

// openPage opens an address. The test fails at its end for each complaint of a script or of the
// content policy, except that the network was away for a while.
func openPage(t *testing.T, url string) *page {
	t.Helper()
	browser, err := exec.LookPath("chromium")
	if err != nil {
		browser, err = exec.LookPath("google-chrome")
	}
	if err != nil {
		t.Skipf("%v: run .ci/install test if the distribution has a package of it", err)
	}
	// Without a sandbox of its own, which root cannot have; it loads only our page.
	background, cancelBrowser := chromedp.NewExecAllocator(context.Background(), chromedp.ExecPath(browser), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.UserDataDir(t.TempDir()), chromedp.Env("TMPDIR="+ShortDir(t)), chromedp.WindowSize(1440, 900), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.ModifyCmdFunc(func(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true} }))
	ctx, cancel := chromedp.NewContext(background)
	ctx, cancelLimit := context.WithTimeout(ctx, 3*time.Minute)
	p := &page{t: t, ctx: ctx}
	p.do(chromedp.Navigate("about:blank"))
	messages := chromedp.Console(ctx)
	var reading sync.WaitGroup
	reading.Go(func() {
		for m, err := range messages {
			if err != nil {
				return // the tab has ended
			}
			if m.Source != "network" && (m.IsException() || m.Type == chromedp.ConsoleError || m.Type == chromedp.ConsoleWarning) {
				p.mu.Lock()
				p.wrong = append(p.wrong, m.String())
				p.mu.Unlock()
			}
		}
	})
	t.Cleanup(func() {
		cancelLimit()
		cancel()
		cancelBrowser()
		reading.Wait()
		for _, text := range p.wrong {
			t.Errorf("the page complains: %s", text)
		}
	})
	p.do(chromedp.Navigate(url))
	return p
}

func (p *page) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, steps...); err != nil {
		p.t.Fatalf("in the browser: %v", err)
	}
}

// text returns what a person sees of the elements that match a selector.
func (p *page) text(selector string) string {
	p.t.Helper()
	text, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](fmt.Sprintf(
		`[...document.querySelectorAll(%q)].filter((e) => e.checkVisibility()).map((e) => e.innerText).join("\n")`, selector)))
	if err != nil {
		p.t.Fatalf("in the browser: %v", err)
	}
	return text
}

// wait waits until a person sees want at selector.
func (p *page) wait(selector, want string) {
	p.t.Helper()
	Eventually(p.t, patience, fmt.Sprintf("%q at %s of the page", want, selector), func() (bool, string) {
		got := p.text(selector)
		return strings.Contains(got, want), got
	})
}

// press presses keys, as a person without a mouse does.
func (p *page) press(keys string) {
	p.t.Helper()
	p.do(chromedp.KeyEvent(keys))
}

// choose chooses an option of a list.
func (p *page) choose(list, value string) {
	p.t.Helper()
	if _, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](fmt.Sprintf(
		`(() => { const e = document.querySelector(%q); e.value = %q; e.dispatchEvent(new Event("change")); return e.value })()`, list, value))); err != nil {
		p.t.Fatalf("in the browser: %v", err)
	}
}

// address returns where the page is.
func (p *page) address() string {
	p.t.Helper()
	text, err := chromedp.Run(p.ctx, chromedp.Evaluate[string]("location.href"))
	if err != nil {
		p.t.Fatalf("in the browser: %v", err)
	}
	return text
}

// focused returns the label of the element with the keyboard focus.
func (p *page) focused() string {
	p.t.Helper()
	text, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](`(document.activeElement.closest(".build") ? document.activeElement.closest(".build").id + " " : "") + document.activeElement.textContent`))
	if err != nil {
		p.t.Fatalf("in the browser: %v", err)
	}
	return text
}

func TestDashboardShowsWhatHappensAsItHappens(t *testing.T) {
	t.Parallel()
	w := NewWorld(t, One("workers = 1"), tinyEntry("two"),
		tinyEntry("three", "replicas = 2", `restart = "never"`, `process = [{ name = "flaky", command = ["false"] }]`))
	settings := filepath.Join(w.Source, "API", "api_settings", "settings")
	if err := os.WriteFile(filepath.Join(settings, "deploy_three.py"), []byte(readAll(filepath.Join(settings, "deploy_two.py"))), 0o644); err != nil {
		t.Fatal(err)
	}
	const token = "of-a-test-0123456789"
	if err := os.WriteFile(filepath.Join(w.Dir, "token"), []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	address := FreeAddr(t)
	w.Supervisor = []string{fmt.Sprintf("dashboard = %q", address), `dashboard_write = "token"`}
	w.WriteConfig()
	w.OwnProgram()
	first := w.Serve("one", "two", "three")
	w.WaitState("one", "running")
	tr := w.FrontLoad("/two/", 50)
	p := openPage(t, "http://"+address+"/")
	const one = "#build-one "

	p.wait("#summary", "3 of 3 running")
	p.wait(one+".pill", "running")
	p.wait("#link", "live")
	p.wait("#events", "took over")

	// By the keyboard alone: to the details of the first build.
	for n := 0; !strings.Contains(p.focused(), "build-one one"); n++ {
		if n > 20 {
			t.Fatalf("pressing Tab twenty times leads to %q", p.focused())
		}
		p.press("\t")
	}
	p.press("\r")
	p.wait(one+".deploys", w.WaitState("one", "running").Release)
	if got := p.address(); !strings.HasSuffix(got, "#one") {
		t.Errorf("the address of what is open is %q", got)
	}

	// A crash, without a reload.
	if got := p.text(one + ".restarts"); got != "0" {
		t.Errorf("restarts before the crash: %q", got)
	}
	old := w.KillTree("one", syscall.SIGKILL)
	p.wait("#events", "killed by SIGKILL")
	p.wait(one+".restarts", "1")
	w.WaitPid("one", old)

	// One of two server trees is less than all, and not nothing; a process that keeps ending is seen.
	const three = "#build-three "
	pair := w.WaitStatus("three", "two trees that serve", func(b BuildStatus) bool { return b.Replicas.Ready == 2 })
	KillAll(t, Tree(pair.Replicas.Pids[1]), syscall.SIGKILL)
	p.wait(three+".pill.less", "running, 1 of 2")
	p.wait("#summary", "3 of 3 running, 1 degraded")
	p.wait(three+".what", "1 of 2 server trees serve")
	p.do(chromedp.Click(three + ".name button"))
	p.wait(three+".processes .bad", "flaky.1 – backoff; starts again at ")
	p.wait(three+".processes .bad", "last exit: exit")
	p.do(chromedp.Click(three + ".name button"))

	// Without the token there is nothing to press, and nothing that a build printed.
	if got := p.text(one + "pre"); got != "" {
		t.Errorf("without the token there is the output %q", got)
	}
	if got := p.text("div.acts, .line .acts button, .deploys button"); got != "" {
		t.Errorf("without the token there is %q", got)
	}
	p.do(chromedp.SendKeys("#token", "a wrong one\r"))
	p.wait("#toast", "not the token")
	p.do(chromedp.SendKeys("#token", token+"\r"))
	p.wait(one+"div.acts", "Rebuild")
	p.wait(one+"pre", "Booting worker")
	p.wait(three+".line .acts", "Restart")

	// A rebuild, from its button to the release that takes over, and the log of the build.
	before := w.WaitState("one", "running").Release
	p.do(chromedp.Click(one + "div.acts button:nth-child(3)"))
	p.wait("#toast", "one: rebuild begins")
	after := w.WaitRelease("one", before).Release
	p.wait(one+".deploys", after)
	p.wait(one+".deploys", "replaced by "+after)
	p.choose("#log-one-which", "build")
	p.wait(one+"pre", "== compile (8 of 8)")

	p.do(chromedp.Click(one + "div.acts button:nth-child(1)"))
	p.wait("#toast", "one: deploy begins")

	// And back.
	p.do(chromedp.Click(one + ".deploys button"))
	p.wait("#ask", "back to "+before)
	p.do(chromedp.Click("#ask-yes"))
	p.wait("#toast", "rollback done")
	if b := w.WaitState("one", "running"); b.Release != before {
		t.Errorf("release %s serves after the way back to %s", b.Release, before)
	}
	p.wait(one+".deploys", "rolled back to "+before)

	// The supervisor is replaced, and dies: the page reconnects automatically.
	w.Upgrade()
	if strings.Contains(w.Log(), "did not end in time") {
		t.Error("the page's streams delayed the upgrade")
	}
	p.wait("#link", "live")
	tr.Stop().NoneLost(t)
	w.Signal(syscall.SIGKILL)
	w.WaitEnd(10 * time.Second)
	p.wait("#link", "away")
	w.Start()
	p.wait("#link", "live")
	w.SetBanner("two", "seen", RenameOver)
	p.wait("#events", "built, release "+w.WaitRelease("two", first.Release).Release)

	// A mistake in the file is shown at the top.
	w.Replace(w.File, `location = "/two"`, `location = "two"`, RenameOver)
	p.wait("#wrong", "location")
	w.WriteConfig()
	Eventually(t, patience, "the mistake to go", func() (bool, string) { got := p.text("#wrong"); return got == "", got })

	// The dashboard is removed, also for those who are looking at it.
	w.Supervisor = nil
	w.WriteConfig()
	p.wait("#link", "away")
	Eventually(t, patience, "the removed dashboard's socket to be closed", func() (bool, string) {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return true, ""
		}
		c.Close()
		return false, "it still listens"
	})
}
