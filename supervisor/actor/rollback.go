package actor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// rollbackTo returns the release that a rollback goes to: the only one that is kept and begins with
// wanted, or, where that is "", the one before the release that serves.
func (a *Actor) rollbackTo(wanted string) (string, error) {
	kept, serving := a.Kept(), a.state.Serving.Version.Release
	if wanted == "" {
		if to := a.olderRelease(kept); to != "" {
			return to, nil
		}
		return "", errors.New("there is no release before this one to go back to")
	}
	to, err := oneOf(kept, wanted)
	if err == nil && to == serving {
		err = fmt.Errorf("release %s is already serving", to)
	}
	return to, err
}

// olderRelease returns the release before the one that serves, or "". After a rollback the one that
// served before is newer: a second rollback goes further back instead of there and back again.
func (a *Actor) olderRelease(kept []string) string {
	now := a.state.Serving.Version.Release
	if now == "" {
		now = a.state.Release
	}
	if p := a.state.Previous; p != "" && (p < now || !slices.Contains(kept, now)) && slices.Contains(kept, p) {
		return p
	}
	for _, id := range slices.Backward(kept) {
		if id < now && !a.rejected(id) {
			return id
		}
	}
	return ""
}

// rejected reports whether a release was rejected, with whatever run settings.
func (a *Actor) rejected(id string) bool {
	for v := range a.state.Bad {
		if v.Release == id {
			return true
		}
	}
	return false
}

// oneOf returns the release among kept that wanted names, by the whole of its name or a beginning
// that no other has.
func oneOf(kept []string, wanted string) (string, error) {
	if slices.Contains(kept, wanted) {
		return wanted, nil
	}
	var may []string
	for _, id := range kept {
		if strings.HasPrefix(id, wanted) {
			may = append(may, id)
		}
	}
	switch len(may) {
	case 0:
		return "", fmt.Errorf("release %s is not kept; `status NAME` lists those that are", wanted)
	case 1:
		return may[0], nil
	}
	return "", fmt.Errorf("release %s is ambiguous: it may be %s; write more of it", wanted, strings.Join(may, ", "))
}
