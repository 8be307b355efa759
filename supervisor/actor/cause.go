package actor

import (
	"errors"
	"net/http"

	"github.com/medctrl/medctrl-supervisor/supervisor/machine"
	"github.com/medctrl/medctrl-supervisor/supervisor/server"
)

// Why a server failed, as far as that can be seen from outside it: what may pass by itself is tried
// again for as long as it takes.

// causeOfExit returns where the cause of an exit lies. output is what the server printed last.
func causeOfExit(e Exit, output []string) machine.Cause {
	if e.Outside || server.FailedOutside(output) {
		return machine.CauseOutside
	}
	return machine.CauseRelease
}

// causeOfCheck returns where the cause of a failed check lies. A server that returns
// late, or says that it is at fault, may miss something that comes back.
func causeOfCheck(err error) machine.Cause {
	var answer *ProbeError
	if errors.As(err, &answer) && answer.Wrong && !mayPass(answer.Status) {
		return machine.CauseRelease
	}
	return machine.CauseOutside
}

func mayPass(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status >= 500
}
