package simulate

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// kind is what happens.
type kind int

const (
	doVisit kind = iota
	doCrash
	doKillTree
	doKillWorker
	doHang
	doHangAWhile
	doSlow
	doStray
	doDeaf
	doBoots
	doEdit
	doEditBad
	doTouch
	doEditFile
	doRemove
	doAdd
	doBreakFile
	doMendFile
	doStart
	doStop
	doRestart
	doRebuild
	doRollback
	doReload
	doUpgrade
	doUnlink
	doUnlinkAll
	doDeleteFiles
	doDeleteFolder
	doDeleteReleases
	doDeleteOwn
	doBlock
	doStatus
	doDiskFull
	doDiskReadOnly
	doDiskSlow
	doDiskFailing
	doKill
	doKillInScan
	doDie
	doStopSupervisor
	doPowerCut
	doSetClock
	doCrashProcess
	kinds
)

// weights say how often each kind is planned.
var weights = [kinds]int{
	doVisit: 0, doCrash: 12, doKillTree: 6, doKillWorker: 3, doHang: 5, doHangAWhile: 3, doSlow: 2, doStray: 2, doDeaf: 2, doBoots: 9,
	doEdit: 10, doEditBad: 7, doTouch: 3, doEditFile: 9, doRemove: 3, doAdd: 5, doBreakFile: 2, doMendFile: 3,
	doStart: 4, doStop: 4, doRestart: 8, doRebuild: 4, doRollback: 6, doReload: 3, doUpgrade: 5,
	doUnlink: 5, doUnlinkAll: 2, doDeleteFiles: 2,
	doDeleteFolder: 3, doDeleteReleases: 4, doDeleteOwn: 3, doBlock: 4, doStatus: 3, doDiskFull: 2, doDiskReadOnly: 1, doDiskSlow: 2, doDiskFailing: 2,
	doKill: 4, doKillInScan: 3, doDie: 10, doStopSupervisor: 2, doPowerCut: 1, doSetClock: 3, doCrashProcess: 8,
}

// act is one thing that happens in a history. What it is in detail depends on x alone, so that one
// can be left out without changing the others.
type act struct {
	at   time.Duration
	kind kind
	site int
	x    uint64
}

// history is all that is decided beforehand of an hour.
type history struct {
	seed  uint64
	plan  []act
	edits bool // everything is edited once more then
}

// The course of a history: faults, then quiet, then a stop.
const (
	faultsEnd = 45 * time.Minute
	restAt    = 59 * time.Minute
	hour      = time.Hour
)

var names = []string{"alpha", "beta", "gamma", "delta"}

// planned draws up a history from its seed.
func planned(seed uint64) *history {
	h := &history{seed: seed}
	n := 0
	roll := func() uint64 {
		n++
		return mix(mix(seed+1) + uint64(n))
	}
	sum := 0
	for _, w := range weights {
		sum += w
	}
	builds := sitesOf(seed)
	clusters := 8 + int(roll()%12)
	for range clusters {
		at := spread(roll(), 2*time.Second, faultsEnd)
		site := int(roll() % uint64(builds))
		h.plan = append(h.plan, act{at: at - time.Duration(roll()%uint64(2*time.Second)), kind: doVisit, site: site, x: roll()})
		for range 1 + roll()%4 {
			r := int(roll() % uint64(sum))
			k := kind(0)
			for ; r >= weights[k]; k++ {
				r -= weights[k]
			}
			if roll()%4 == 0 {
				site = int(roll() % uint64(builds))
			}
			h.plan = append(h.plan, act{at: at, kind: k, site: site, x: roll()})
			// Often at once, seldom after long.
			gap := roll()
			at += spread(mix(gap), 0, []time.Duration{2 * time.Millisecond, 200 * time.Millisecond, 3 * time.Second, 20 * time.Second}[gap%4])
		}
	}
	h.edits = roll()%2 == 0
	slices.SortStableFunc(h.plan, func(a, b act) int { return int(a.at - b.at) })
	return h
}

func sitesOf(seed uint64) int { return 1 + int(mix(seed+77)%3) }

// perform lets an act happen. The lock is held.
func (w *World) perform(a act) {
	s := w.order[a.site]
	x := a.x
	d := spread(mix(x), time.Second, time.Minute)
	switch a.kind {
	case doVisit:
		n, over := 2+int(x%14), 12*time.Second
		if x>>8%3 == 0 { // they crowd
			n, over = 40, 4*time.Second
		}
		for i := range n {
			w.after(spread(mix(x+uint64(i)), 0, over), s.visit)
		}
		if x>>20%8 == 0 { // one of them is an operator
			w.after(spread(mix(x+99), 0, over), func() { s.execute(x) })
		}
	case doCrash:
		s.crash()
	case doKillTree:
		s.killTree()
	case doKillWorker:
		s.killWorker()
	case doHang:
		s.hang(0)
	case doHangAWhile:
		s.hang(d)
	case doSlow:
		s.grow("gets slow", func(t *tree) { t.slow, t.ill = true, true })
		w.after(d, func() {
			for _, t := range s.trees {
				t.slow = false
			}
		})
	case doStray:
		s.grow("starts a process that leaves its group", func(t *tree) { w.spawn(t, roleStray) })
	case doDeaf:
		s.grow("ignores TERM from now on", func(t *tree) { t.deaf = true })
	case doBoots:
		b := boot(1 + x%uint64(bootLast-1))
		n := 1 + int(x>>8%3)
		s.tell("the next %d starts: it %v", n, b)
		s.disturb()
		s.boots = nil
		for range n {
			s.boots = append(s.boots, b)
		}
	case doEdit:
		s.edit(bootWell, "")
	case doEditBad:
		if x%3 == 0 {
			s.edit(bootWell, steps[x>>8%uint64(len(steps))])
		} else {
			s.edit(boot(1+x>>8%uint64(bootLast-1)), "")
		}
	case doTouch:
		s.tell("somebody touches the source and changes nothing")
		w.touch(s.name)
	case doEditFile:
		s.editFile(x)
	case doRemove:
		s.remove()
	case doAdd:
		for _, o := range w.order {
			o.add()
		}
	case doBreakFile:
		w.tell("world", "an editor saves a bad builds.toml")
		w.file.bad = true
		w.saved()
		w.after(d/2, w.mendFile) // nobody leaves it so
	case doMendFile:
		w.mendFile()
	case doStart:
		s.ask("start", "", x%5 == 0)
	case doStop:
		s.ask("stop", "", x%5 == 0)
	case doRestart:
		s.ask("restart", "", x%5 == 0)
	case doRebuild:
		if x>>8%2 == 0 {
			s.ask("deploy", "", x%5 == 0)
		} else {
			s.ask("rebuild", "", x%5 == 0)
		}
	case doRollback:
		to := ""
		if n := len(s.releases); n > 0 && x%2 == 0 {
			to = s.releases[x>>8%uint64(n)].ID
		}
		s.ask("rollback", to, x%5 == 0)
	case doReload:
		if x%3 == 0 && w.sup != nil {
			w.sup.signal(hangup)
		} else {
			w.reload(x%2 == 0)
		}
	case doUpgrade:
		w.upgrade()
	case doUnlink:
		s.unlink(false)
	case doUnlinkAll:
		s.unlink(true)
	case doDeleteFiles:
		s.deleteFiles()
	case doDeleteFolder:
		if x%4 == 0 {
			w.deleteRoot(x)
		} else {
			s.deleteFolder(x)
		}
	case doDeleteReleases:
		s.deleteReleases(x)
	case doDeleteOwn:
		w.deleteOwn(x%2 == 0)
	case doBlock:
		w.block(d)
	case doStatus:
		w.askStatus()
	case doDiskFull:
		w.trouble("is full", &w.disk.full, d)
	case doDiskReadOnly:
		w.trouble("is read-only", &w.disk.readOnly, d)
	case doDiskSlow:
		w.trouble("is slow", &w.disk.slow, d)
	case doDiskFailing:
		w.trouble("does not take what is written", &w.disk.failing, d)
	case doKill:
		w.killSupervisor()
	case doKillInScan:
		if w.sup != nil {
			w.inScan = s
			w.killSupervisor()
		}
	case doDie:
		if w.sup != nil {
			m := moments[x%uint64(len(moments))]
			w.sup.die = &death{at: m, count: 1 + int(x>>16%4)}
			if m == anyMoment {
				w.sup.die.count = 1 + int(x>>16%60)
			}
		}
	case doStopSupervisor:
		w.stopSupervisor()
	case doPowerCut:
		w.cutPower()
	case doCrashProcess:
		s.crashProcess(x)
	case doSetClock:
		if x%2 == 0 { // while the build waits for its next start
			s.boots = []boot{bootExits, bootExits, bootExits, bootExits}
			s.crash()
			w.after(spread(mix(x+1), 2*time.Second, 8*time.Second), func() { w.setClock(x >> 1) })
			return
		}
		w.setClock(x >> 1)
	}
}

// moments are those at which a supervisor may die (actor.Fleet.Reach).
var moments = []string{
	anyMoment, anyMoment, anyMoment, "before Open", "after Open", "before Refuse", "after Refuse", "before Withdraw", "after Withdraw",
	"before Spawn", "after Spawn", "before Swap", "after the exchange of names", "after Swap", "after Retire", "after the queue is empty", "before End",
	"after End", "after a tree has ended", "after Watch", "before Build", "after Build", "after CancelBuild", "after the build", "before SetTimer",
	"after Save", "before the state is written", "after the state is written", "after a listener is taken back", "after a generation is adopted", "after a process is adopted",
	"before releases are pruned", "after releases are pruned", "before step", "after step", "after Note",
}

func (w *World) mendFile() {
	if w.file.bad {
		w.tell("world", "an editor fixes builds.toml")
		w.file.bad = false
		w.saved()
	}
}

// String is the act as a person reads it.
func (a act) String() string {
	return fmt.Sprintf("%s %s %s", clock(a.at), names[a.site], a.kind)
}

func (k kind) String() string {
	return strings.Fields("visit crash killTree killWorker hang hangAWhile slow stray deaf boots edit editBad touch editFile remove add breakFile mendFile " +
		"start stop restart rebuild rollback reload upgrade unlink unlinkAll deleteFiles deleteFolder deleteReleases deleteOwn block status diskFull diskReadOnly diskSlow diskFailing kill killInScan die stopSupervisor powerCut setClock crashProcess")[k]
}
