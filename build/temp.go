package build

import (
	"os"
	"strings"
)

// makeTemp makes the folder of the temporary files of a job, which the build's user alone can enter.
// Its steps get it as TMPDIR.
func (j *job) makeTemp(id string) error {
	if err := MakeRun(j.dir.Run(), j.as.GID); err != nil {
		return err
	}
	path := j.dir.TempOf(id)
	if err := MakeFolder(path, 0o700, j.as.UID, j.as.GID); err != nil {
		return err
	}
	j.tmp = path
	return nil
}

// dropTemp removes it. The folder above is ours, and os.RemoveAll follows no link below it.
func (j *job) dropTemp() {
	if j.tmp == "" {
		return
	}
	if err := os.RemoveAll(j.tmp); err != nil {
		j.maker.Log.Warn("temporary files of a build stay until the next start", "build", j.b.Name, "error", err)
	}
	j.tmp = ""
}

// tempEnv is the entry that leads to it, unless env names another folder.
func (j *job) tempEnv(env []string) []string {
	for _, entry := range env {
		if strings.HasPrefix(entry, "TMPDIR=") {
			return nil
		}
	}
	if j.tmp == "" {
		return nil
	}
	return []string{"TMPDIR=" + j.tmp}
}
