package build

import (
	"slices"
	"strings"
)

// shownError is an error whose text is for logs, status and events.
type shownError struct {
	text  string
	cause error
}

func (e *shownError) Error() string { return e.text }
func (e *shownError) Unwrap() error { return e.cause }

// shown is err with a text that has no secrets, and files by their names in the source.
func (j *job) shown(err error) error {
	if text := j.inSource(conceal(err.Error(), j.secrets())); text != err.Error() {
		return &shownError{text, err}
	}
	return err
}

// inSource puts the source's files in the place of their copies in the folder in which the release
// is prepared, which is gone when somebody reads of it.
func (j *job) inSource(text string) string {
	var pairs []string // the first that fits counts
	if j.reads != nil {
		pairs = j.reads.Handed
	}
	return strings.NewReplacer(append(slices.Clip(pairs), j.app(), j.b.AppPath(), j.temp, j.b.Source)...).Replace(text)
}
