package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/config/layout"
	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// Running is what is known of the supervisor that runs the file.
type Running struct {
	Status  *control.Status // nil: none is running, or it does not say
	Unknown bool            // one may be running: who asks may not know
}

// askLimit is how long the supervisor may take to say how it is.
const askLimit = 2 * time.Second

// WhoRuns asks the supervisor that runs a root.
func WhoRuns(ctx context.Context, root string) Running {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	status, err := control.Client{Socket: layout.Root(root).Control()}.Status(ctx)
	switch {
	case err == nil:
		return Running{Status: &status}
	case errors.Is(err, control.ErrNoSupervisor):
		return Running{}
	}
	return Running{Unknown: true}
}

// address is one that the supervisor listens on.
type address struct{ key, host string }

// addresses are all that a file names.
func addresses(c *config.Config) []address {
	var all []address
	if c.Supervisor.Front != "" {
		all = append(all, address{"front", c.Supervisor.Front})
	}
	if c.Supervisor.Dashboard != "" {
		all = append(all, address{"dashboard", c.Supervisor.Dashboard})
	}
	if c.Supervisor.Metrics != "" {
		all = append(all, address{"metrics", c.Supervisor.Metrics})
	}
	return all
}

// holds says whether the supervisor listens on an address, and what is wrong with that.
func (r Running) holds(a address) (is bool, trouble string) {
	if r.Status == nil {
		return false, ""
	}
	for _, part := range []control.Part{r.Status.Front, r.Status.Dashboard, r.Status.Metrics} {
		if part.Address == a.host {
			return true, part.Trouble
		}
	}
	return false, ""
}

// portFindings says whether the supervisor can listen where it is told to.
func portFindings(ctx context.Context, c *config.Config, running Running) []Finding {
	var all []Finding
	for _, a := range addresses(c) {
		all = append(all, portFinding(ctx, a, running))
	}
	return all
}

func portFinding(ctx context.Context, a address, running Running) Finding {
	const check = "port"
	held, trouble := running.holds(a)
	switch {
	case held && trouble != "":
		return fail(check, portFix(a), "%s = %q: %s", a.key, a.host, trouble)
	case held:
		return ok(check, "%s = %q: the supervisor serves there", a.key, a.host)
	case running.Unknown:
		return warn(check, "run doctor with sudo, as the supervisor is", "%s = %q: not tried, a supervisor that may not be asked could be serving there", a.key, a.host)
	}
	if err := listen(ctx, a.host); err != nil {
		return fail(check, portFix(a), "%s = %q: %v", a.key, a.host, err)
	}
	return ok(check, "%s = %q is free", a.key, a.host)
}

func portFix(a address) string {
	_, port, err := net.SplitHostPort(a.host)
	if err != nil {
		return "name another address"
	}
	return fmt.Sprintf("end what listens there (ss -ltnp 'sport = :%s'), or name another address in %s", port, a.key)
}

// listen tries whether an address can be listened on, by doing so for a moment.
func listen(ctx context.Context, host string) error {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", host)
	switch {
	case err == nil:
		return ln.Close()
	case errors.Is(err, unix.EADDRINUSE):
		return errors.New("another program listens there")
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return errors.New("this machine does not have that address")
	case errors.Is(err, os.ErrPermission):
		return errors.New("only root may listen on a port below 1024")
	}
	return err
}
