package build

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/medctrl/medctrl-supervisor/build/inputs"
	"github.com/medctrl/medctrl-supervisor/config/layout"
)

// databases are those that are being migrated: two migrations of one never run at the same time.
//
// Which ones they are is what the process that migrates says, and so a claim: it holds up only
// builds of its own user, for as long as the step takes. A migration goes on when its supervisor is
// killed, and its databases with it: a record in the supervisor's own folder says which process
// that is.
type databases struct {
	mu      sync.Mutex
	by      map[string]*job // by user and name
	changed chan struct{}   // closed when one is given back; nil: nobody waits
}

// mostDatabases is how many databases one migration may name.
const mostDatabases = 64

// databasePoll is how often the end of a migration is looked for that an earlier supervisor started:
// nothing tells us of it.
const databasePoll = 200 * time.Millisecond

// migrationRecord is a migration that is running.
type migrationRecord struct {
	Process   string   `json:"process"`   // its identity
	Folder    string   `json:"folder"`    // in which the release is prepared
	Databases []string `json:"databases"` // by user and name
}

func migrationRecordPath(root layout.Root, build string) string {
	return filepath.Join(root.MigrationLocks(), build+".json")
}

// lockNamed takes one name of a database from the process that migrates, and locks all of them when
// it has sent the last one, "". Nothing else that runs may name any.
func (j *job) lockNamed(ctx context.Context, conn *net.UnixConn, request, name string) error {
	if request != "lock" && !strings.HasPrefix(request, "lock\x00") {
		return errors.New("it asks for the lock of a database although it migrates none")
	}
	if path, ok := strings.CutPrefix(name, "file "); ok && strings.HasPrefix(path, j.temp+"/") {
		j.maker.Log.Warn("the database lies in the release and is lost with it: put it under MEDCTRL_DATA",
			"build", j.b.Name, "path", strings.TrimPrefix(path, j.temp+"/"))
	}
	if name == "" {
		if err := j.maker.databases.take(ctx, j); err != nil {
			return err
		}
	} else if !slices.Contains(j.named, name) {
		if j.named = append(j.named, name); len(j.named) > mostDatabases {
			return fmt.Errorf("the settings name more than %d databases", mostDatabases)
		}
	}
	_, err := conn.Write([]byte("noted"))
	return err
}

// databaseKeys are what the databases that j has named are locked by.
func (j *job) databaseKeys() (all []string) {
	for _, name := range j.named {
		all = append(all, fmt.Sprintf("%d %s", ownerOfAll(j.as).uid, name))
	}
	return all
}

// take waits until nobody else migrates a database that j has named, and locks all of them for j.
func (d *databases) take(ctx context.Context, j *job) error {
	keys, said := j.databaseKeys(), false
	for {
		left, err := d.leftBehind(j)
		if err != nil {
			return fmt.Errorf("look for other migrations: %w", err)
		}
		changed, taken := d.tryTake(j, keys, left)
		if taken {
			if by := d.sameElsewhere(j); by != "" {
				j.remark(fmt.Sprintf("build %s, which runs as another user, migrates a database of the same name at the same time. "+
					"Where it is the same database, give both builds one user, or set migrate = false for one of them", by))
			}
			return d.record(j, keys)
		}
		if !said {
			said = true
			fmt.Fprintln(j.log, "another migration of this database is running: waiting for its end") // it is a remark
		}
		timer := time.NewTimer(databasePoll)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
		timer.Stop()
	}
}

// tryTake locks the databases for j unless one of them is being migrated, where left are those of
// migrations without a supervisor. changed is closed when it is worth another try.
func (d *databases) tryTake(j *job, keys, left []string) (changed <-chan struct{}, taken bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, key := range keys {
		if by, ok := d.by[key]; ok && by != j || slices.Contains(left, key) {
			if d.changed == nil {
				d.changed = make(chan struct{})
			}
			return d.changed, false
		}
	}
	if d.by == nil {
		d.by = map[string]*job{}
	}
	for _, key := range keys {
		d.by[key] = j
	}
	return nil, true
}

// sameElsewhere returns a build of another user that migrates a database of a name that j has named,
// "" where none does. Who names it need not be able to use it, so nobody waits.
func (d *databases) sameElsewhere(j *job) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	for key, by := range d.by {
		if _, name, _ := strings.Cut(key, " "); by != j && slices.Contains(j.named, name) {
			return by.b.Name
		}
	}
	return ""
}

// give gives back what j holds.
func (d *databases) give(j *job) {
	d.mu.Lock()
	defer d.mu.Unlock()
	held := false
	for key, by := range d.by {
		if by == j {
			held = true
			delete(d.by, key)
		}
	}
	if !held {
		return
	}
	path := migrationRecordPath(layout.Root(j.Root), j.b.Name)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		j.maker.Log.Warn("record of a migration that has ended stays", "build", j.b.Name, "error", err)
	}
	if d.changed != nil {
		close(d.changed)
		d.changed = nil
	}
}

// record says which process holds the databases, for the next supervisor.
func (d *databases) record(j *job, keys []string) error {
	process, err := j.manager.process.Identity()
	if err != nil {
		return fmt.Errorf("record the migration: %w", err)
	}
	text, err := json.Marshal(migrationRecord{process, j.temp, keys})
	if err != nil {
		return fmt.Errorf("record the migration: %w", err)
	}
	path := migrationRecordPath(layout.Root(j.Root), j.b.Name)
	temp := unfinished(path)
	if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
		err = os.RemoveAll(temp)
	}
	if err == nil {
		err = writeNew(temp, text, 0o600)
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return fmt.Errorf("record the migration: %w", err)
	}
	return nil
}

// leftBehind returns the databases of migrations that run although their supervisor has ended.
func (d *databases) leftBehind(j *job) (keys []string, err error) {
	root := layout.Root(j.Root)
	for i, key := range j.databaseKeys() {
		if oldLocked(root, j.named[i]) {
			keys = append(keys, key)
		}
	}
	entries, err := os.ReadDir(root.MigrationLocks())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || strings.HasPrefix(name, tempPrefix) || d.holds(root, name) {
			continue
		}
		r, alive := migrates(j.maker.Runner, root, name)
		if alive {
			keys = append(keys, r.Databases...)
		}
	}
	return keys, nil
}

// oldLocked says whether a migration holds a database that an earlier version of this program
// started: it gave the lock of a file to the process. The file goes when nobody holds it.
func oldLocked(root layout.Root, name string) bool {
	sum := sha256.Sum256([]byte(name))
	path := filepath.Join(root.MigrationLocks(), fmt.Sprintf("%x.lock", sum[:8]))
	if locked(path) {
		return true
	}
	_ = os.Remove(path) // usually there is none
	return false
}

// holds says whether an attempt of ours for that build holds databases: its record is not news.
func (d *databases) holds(root layout.Root, build string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, by := range d.by {
		if by.Root == string(root) && by.b.Name == build {
			return true
		}
	}
	return false
}

// migrates returns the migration of a build that an earlier supervisor started, and whether it is
// running.
func migrates(runner Runner, root layout.Root, build string) (r migrationRecord, alive bool) {
	text, err := inputs.ReadText(os.OpenFile, migrationRecordPath(root, build))
	if err != nil || json.Unmarshal(text, &r) != nil {
		return migrationRecord{}, false
	}
	return r, runner.Alive(r.Process)
}
