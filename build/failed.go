package build

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/medctrl/medctrl-supervisor/build/inputs"
)

// failedRecord is what is kept of an attempt that must not be repeated unasked, so that neither a
// file that is only touched nor a new supervisor repeats it.
type failedRecord struct {
	Inputs string   `json:"inputs"` // stands for what the attempt was made of
	Step   string   `json:"step"`
	Reason string   `json:"reason"`
	Tail   []string `json:"tail,omitempty"`
	Own    bool     `json:"own,omitempty"` // see StepError
}

// madeOf stands for the inputs of an attempt and the environment of its steps, which is not part of
// a release's identity but may be what made a step fail.
func (j *job) madeOf() string {
	env := slices.Sorted(slices.Values(j.env))
	sum := sha256.Sum256([]byte(j.hash + "\n" + strings.Join(env, "\x00")))
	return hex.EncodeToString(sum[:])
}

// remember keeps the reason of an attempt that is final.
func (j *job) remember(why error) {
	var step *StepError
	if !errors.As(why, &step) || !step.Final {
		return
	}
	if step.Step == "settings" {
		return // looking once more costs nothing, and `command`, which no release is made of, may be the fix
	}
	path := j.dir.FailedRecord()
	temp := unfinished(path)
	text, err := json.MarshalIndent(failedRecord{j.madeOf(), step.Step, step.Err.Error(), step.Tail, step.Own}, "", "  ")
	if err == nil {
		err = os.RemoveAll(temp)
	}
	if err == nil {
		err = writeNew(temp, append(text, '\n'), 0o640)
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		j.maker.Log.Warn("what failed for good is repeated when the supervisor starts again or a file is touched",
			"build", j.b.Name, "error", err)
	}
}

// forget drops what is kept of an earlier attempt: another one begins.
func (j *job) forget() error {
	if err := os.Remove(j.dir.FailedRecord()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget why the build before failed: %w", err)
	}
	return nil
}

// failedFinally returns why the attempt before failed, where that was final and of the very same
// inputs, and nobody asks for another.
func (j *job) failedFinally() error {
	if j.Force {
		return nil
	}
	text, err := inputs.ReadText(inputs.Anywhere, j.dir.FailedRecord())
	if err != nil {
		return nil // usually there is none; one that cannot be read is repeated
	}
	var r failedRecord
	if json.Unmarshal(text, &r) != nil || r.Inputs != j.madeOf() {
		return nil
	}
	return &StepError{Build: j.b.Name, Step: r.Step, Err: errors.New(r.Reason), Tail: r.Tail, Log: j.dir.FailedLog(), Final: true, Own: r.Own}
}
