package build

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/config/layout"
)

// migratesFile lies in the folder of a release that is prepared and is locked (flock(2)) by the
// process that migrates, as long as it does: one that is still there when its supervisor is not
// must not be ended half-way.
const migratesFile = "migrates.lock"

// stage is how far a migration is, as the process that migrates says.
type stage string

const (
	stageUnknown    stage = ""           // it does not say: there may be no Django
	stageOutside    stage = "outside"    // in the lines of manage.py itself
	stageConnecting stage = "connecting" // in Django's command, which has not reached the database
	stageBegun      stage = "begun"      // it has, or failed for another reason than the database
	stageAway       stage = "away"       // it failed for want of the database, or of another server
	stageOwn        stage = "own"        // it failed by the code or the settings themselves, or another step did
	stageRefused    stage = "refused"    // a database refused the login
)

// migration is what an attempt knows of its migration.
type migration struct {
	migrating bool     // it has begun
	stage     stage    // how far it is
	locks     []string // names of the databases whose locks were handed out
}

// migrate takes the locks of all databases, then runs manage.py migrate in the process that holds
// them.
func (j *job) migrate(ctx context.Context) error {
	if err := j.needManager(); err != nil {
		return err
	}
	alive, err := j.ask(ctx, "lock")
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
	for i, request := range requests {
		if !alive {
			return errors.New("the process that holds the databases' locks ended after it had migrated " +
				j.b.Databases[i-1] + ": does the command call exit?")
		}
		if alive, err = j.migrateOne(ctx, request); err != nil {
			return err
		}
	}
	if alive {
		if _, err = j.ask(ctx, "unlock"); err != nil {
			return err
		}
	}
	return os.Remove(filepath.Join(j.temp, migratesFile))
}

// migrateOne migrates one database. Where manage.py itself cannot be run again in the process that
// it shares with the commands before, nothing has begun: it is run once more in a process of its
// own, which takes the same locks.
func (j *job) migrateOne(ctx context.Context, request string) (alive bool, err error) {
	j.stage = stageUnknown
	alive, err = j.ask(ctx, request)
	if err != nil && j.stage == stageOutside && ctx.Err() == nil {
		if err := j.ownProcess("migrate", err); err != nil {
			return false, err
		}
		if alive, err := j.ask(ctx, "lock\x00"+strings.Join(j.locks, "\x00")); err != nil || !alive {
			return false, errors.Join(err, errors.New("the databases could not be locked again"))
		}
		j.stage = stageUnknown
		alive, err = j.ask(ctx, request)
	}
	if err == nil {
		j.stage = stageBegun
	}
	return alive, err
}

// final says that the attempt must not be repeated unless somebody asks: a migration has begun,
// and what it did half-way it would do once more, or the code itself failed and would fail again, or
// a login was refused, which only another login, or somebody who changes the database, gets past.
// What could not be reached comes back without anybody saying so, and then the migration goes on
// where its database is.
func (j *job) final() bool {
	return j.migrating && j.stage != stageConnecting && j.stage != stageAway || j.stage == stageOwn || j.stage == stageRefused
}

// handOutLock gives the process the lock file of a database, or its migratesFile for no name
// (SCM_RIGHTS, unix(7)): the process may be another user's, who cannot open it.
func (j *job) handOutLock(conn *net.UnixConn, name string) error {
	if path, ok := strings.CutPrefix(name, "file "); ok && strings.HasPrefix(path, j.temp+"/") {
		j.maker.Log.Warn("the database lies in the release and is lost with it: put it under MEDCTRL_DATA",
			"build", j.b.Name, "path", strings.TrimPrefix(path, j.temp+"/"))
	}
	dir := layout.Root(j.Root).MigrationLocks()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make folder for migration locks: %w", err)
	}
	sum := sha256.Sum256([]byte(name))
	path := filepath.Join(dir, fmt.Sprintf("%x.lock", sum[:8]))
	if name != "" {
		j.locks = append(j.locks, name)
	} else {
		path = filepath.Join(j.temp, migratesFile)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open migration lock: %w", err)
	}
	defer f.Close() // the process has it then, and the lock with it
	if _, _, err := conn.WriteMsgUnix([]byte{0}, unix.UnixRights(int(f.Fd())), nil); err != nil {
		return fmt.Errorf("hand out migration lock: %w", err)
	}
	return nil
}
