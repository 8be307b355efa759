package doctor

import "fmt"

// Level says how bad a Finding is.
type Level string

// The levels.
const (
	OK   Level = "ok"
	Warn Level = "warn" // it works, but weaker, or it could not be tried
	Fail Level = "fail" // a build or its serving would fail
)

// Finding is the result of one probe.
type Finding struct {
	Level   Level  `json:"level"`
	Build   string `json:"build"` // "": it is about the machine or the whole file
	Check   string `json:"check"` // what was tried, in a word
	Message string `json:"message"`
	Fix     string `json:"fix"` // what to do; "" where there is nothing to do
}

func ok(check, format string, args ...any) Finding {
	return Finding{Level: OK, Check: check, Message: fmt.Sprintf(format, args...)}
}

func warn(check, fix, format string, args ...any) Finding {
	return Finding{Level: Warn, Check: check, Message: fmt.Sprintf(format, args...), Fix: fix}
}

func fail(check, fix, format string, args ...any) Finding {
	return Finding{Level: Fail, Check: check, Message: fmt.Sprintf(format, args...), Fix: fix}
}
