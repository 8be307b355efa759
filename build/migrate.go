package build

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/medctrl/medctrl-supervisor/config"
)

// stage is how far a migration is, as the process that migrates says.
type stage string

const (
	stageUnknown    stage = ""           // it does not say: there may be no Django
	stageOutside    stage = "outside"    // in the lines of manage.py itself
	stageConnecting stage = "connecting" // in Django's command, which has not reached the database
	stageElsewhere  stage = "elsewhere"  // manage.py went on in another process, which says nothing
	stageBegun      stage = "begun"      // it has, or failed for another reason than the database
	stageAway       stage = "away"       // it failed for want of the database, or of another server
	stageOwn        stage = "own"        // it failed by the code or the settings themselves, or another step did
	stageRefused    stage = "refused"    // a database refused the login
)

// migration is what an attempt knows of its migration.
type migration struct {
	migrating bool     // it has begun
	stage     stage    // how far it is
	named     []string // the databases, as the process that migrates names them
	lacks     string   // what a database lacks that another host migrates
}

// migrate takes the locks of all databases, then runs manage.py migrate.
func (j *job) migrate(ctx context.Context) error {
	defer j.maker.databases.give(j) // whatever became of it: what migrates has ended by then
	if err := j.needManager(); err != nil {
		return err
	}
	alive, err := j.ask(ctx, "lock")
	if err == nil && !alive { // manage.py goes on in another process, which says nothing
		alive, err = j.lockAgain(ctx, unknownDatabase)
	}
	if err != nil {
		return err
	}
	if !alive {
		return errors.New("the process ended while it read the settings: do they call exit?")
	}
	if len(j.b.Databases) > 0 {
		if _, err := j.ask(ctx, "databases\x00"+strings.Join(j.b.Databases, "\x00")); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if j.Irreversible != nil {
		j.Irreversible()
	}
	if err := ctx.Err(); err != nil { // by that very call
		return context.Cause(ctx)
	}
	j.migrating = true
	requests := []string{"migrate\x00--noinput"}
	if len(j.b.Databases) > 0 {
		requests = nil
		for _, name := range j.b.Databases {
			requests = append(requests, "migrate\x00--noinput\x00--database="+name)
		}
	}
	for _, request := range requests {
		if !alive {
			if alive, err = j.lockAgain(ctx, j.named...); err != nil || !alive {
				return errors.Join(err, errNotLocked)
			}
		}
		if alive, err = j.migrateOne(ctx, request); err != nil {
			return err
		}
	}
	return nil
}

// How often the databases are looked at that another host migrates, and for how long: then the attempt
// fails, which lets other builds have their turn, and is repeated.
const (
	lookFirst  = 250 * time.Millisecond
	lookLast   = 2 * time.Second
	lookForAll = 30 * time.Second
)

// mostLacks is how much is told of what a database lacks, in bytes.
const mostLacks = 1000

// awaitMigration waits until another host has migrated. A release that took over before would run on
// tables that it does not know.
func (j *job) awaitMigration(ctx context.Context) error {
	if len(j.b.Databases) > 0 {
		if err := j.needManager(); err != nil {
			return err
		}
		if _, err := j.ask(ctx, "databases\x00"+strings.Join(j.b.Databases, "\x00")); err != nil {
			return err
		}
	}
	request := append([]string{"lacking"}, migratedBy(j.b)...)
	var waited time.Duration
	for pause := lookFirst; ; pause = min(2*pause, lookLast) {
		if err := j.needManager(); err != nil {
			return err
		}
		before := j.lacks
		j.lacks = ""
		alive, err := j.ask(ctx, strings.Join(request, "\x00"))
		if err != nil {
			return err
		}
		switch {
		case j.lacks == "" && !alive:
			return fmt.Errorf("what the databases lack that %s migrates is not known: manage.py ended or went on in another process before it was looked at", j.b.Elsewhere.Host)
		case j.lacks == "":
			return nil
		case waited >= lookForAll:
			return fmt.Errorf("%s, and %s, which once_on names, has not applied them: deploy the same source there", j.lacks, j.b.Elsewhere.Host)
		case j.lacks != before:
			if j.Progress != nil {
				j.Progress(Progress{Step: "migrate: waiting for " + j.b.Elsewhere.Host})
			}
			fmt.Fprintf(j.log, "%s: waiting for %s, which once_on names, to apply them\n", j.lacks, j.b.Elsewhere.Host) // it is a remark
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
			waited += pause
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}

var errNotLocked = errors.New("the databases could not be locked again")

// defaultDatabase is the one that Django migrates where none is named.
const defaultDatabase = "default"

// unknownDatabase is what a database is called whose name is not known, as in driver.py.
const unknownDatabase = "unknown"

// lockAgain has another process, where the one before has ended, migrate databases under the locks of these
// names.
func (j *job) lockAgain(ctx context.Context, names ...string) (alive bool, err error) {
	if err := j.needManager(); err != nil {
		return false, err
	}
	return j.ask(ctx, "lock\x00"+strings.Join(names, "\x00"))
}

// migrateOne migrates one database. Where manage.py itself cannot be run again in the process that
// it shares with the commands before, nothing has begun: it is run once more in a process of its
// own, under the same locks.
func (j *job) migrateOne(ctx context.Context, request string) (alive bool, err error) {
	j.stage = stageUnknown
	alive, err = j.ask(ctx, request)
	if err != nil && j.stage == stageOutside && ctx.Err() == nil {
		if err := j.ownProcess("migrate", err); err != nil {
			return false, err
		}
		if alive, err := j.lockAgain(ctx, j.named...); err != nil || !alive {
			return false, errors.Join(err, errNotLocked)
		}
		j.stage = stageUnknown
		alive, err = j.ask(ctx, request)
	}
	if err != nil {
		return alive, err
	}
	silent := j.stage == stageUnknown || j.stage == stageElsewhere
	if j.stage = stageBegun; alive || silent {
		return alive, nil
	}
	// Something ended the process itself, with exit code 0: os._exit in a migration leaves the rest undone.
	if err := j.needManager(); err != nil {
		return false, err
	}
	_, database, named := strings.Cut(request, "--database=")
	if !named {
		database = defaultDatabase
	}
	return j.ask(ctx, "whole\x00"+database)
}

// final says that the attempt must not be repeated unless somebody asks: a migration has begun,
// and what it did half-way it would do once more, or the code itself failed and would fail again, or
// a login was refused, which only another login, or somebody who changes the database, gets past.
// What could not be reached comes back without anybody saying so, and then the migration goes on
// where its database is.
func (j *job) final() bool {
	return j.migrating && j.stage != stageConnecting && j.stage != stageAway || j.stage == stageOwn || j.stage == stageRefused
}

// migratedBy returns the databases that a build's migrate is about.
func migratedBy(b config.Build) []string {
	if len(b.Databases) > 0 {
		return b.Databases
	}
	return []string{defaultDatabase}
}
