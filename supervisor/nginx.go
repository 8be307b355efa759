package supervisor

import (
	"io"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/front"
)

// NginxOptions choose what [Nginx] writes.
type NginxOptions struct {
	Plain     bool // only the documented form, without a second try
	Upstreams bool // only the upstream blocks, for http { }
	Locations bool // only the location blocks that go with them, for server { }
}

// Nginx writes what Nginx needs to pass each build's location to its socket.
func Nginx(w io.Writer, cfg *config.Config, o NginxOptions) error {
	switch {
	case o.Upstreams:
		return front.NginxUpstreams(w, routes(cfg))
	case o.Locations:
		return front.NginxLocations(w, routes(cfg))
	}
	return front.Nginx(w, routes(cfg), o.Plain, cfg.Root)
}
