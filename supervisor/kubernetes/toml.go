package kubernetes

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/medctrl/medctrl-supervisor/config/tomltext"
)

// toml is the file of the build's pods, which is in the image. It has neither migrate, which a Job does,
// nor check, which needs what the Secret has.
func (b *build) toml() string {
	var t strings.Builder
	fmt.Fprintf(&t, "%s: the build %s in its pods.\n", Marker, b.Name)
	t.WriteString("# Its release is made with the image by `medctrl-supervisor build`. An edit needs another image.\n")
	fmt.Fprintf(&t, "root = %s\n\n[supervisor]\n", tomltext.Text(rootDir))
	fmt.Fprintf(&t, "front = \"0.0.0.0:%d\"\n", webPort)
	t.WriteString("front_proxies = [\"10.0.0.0/8\", \"172.16.0.0/12\", \"192.168.0.0/16\", \"100.64.0.0/10\", \"fc00::/7\"]   # only the cluster reaches a pod: what its gateway says of clients, https or not, counts\n")
	for _, k := range b.shared {
		fmt.Fprintf(&t, "%s = %s\n", strings.TrimPrefix(k.Key, "supervisor."), k.Value)
	}
	if port := b.metricsPort(); port > 0 {
		fmt.Fprintf(&t, "metrics = \"0.0.0.0:%d\"\n", port)
	}
	fmt.Fprintf(&t, "\n[[build]]\nname = %s\n", tomltext.Text(b.Name))
	t.WriteString("location = \"/\"            # the route has taken the prefix off, where it is to be\n")
	t.WriteString("migrate = false           # the Job did\n")
	t.WriteString("check = false             # it would need the Secret when the image is made; the Job does it\n")
	table := ""
	for _, k := range b.keep {
		name, value := k.Key, k.Value
		if name == "env" || name == "pass_env" {
			continue // written together, below
		}
		before, rest, nested := strings.Cut(name, ".")
		if nested {
			if table == "" {
				b.variables(&t)
			}
			if before != table {
				fmt.Fprintf(&t, "\n[build.%s]\n", before)
				table = before
			}
			name = rest
		}
		fmt.Fprintf(&t, "%s = %s\n", name, value)
	}
	if table == "" {
		b.variables(&t)
	}
	if b.StepsIn == StepsInImage {
		b.steps(&t)
	}
	return t.String()
}

// variables writes env and pass_env.
func (b *build) variables(t *strings.Builder) {
	if len(b.plain) > 0 {
		fmt.Fprintf(t, "env = %s\n", tomltext.Table(b.plain))
	}
	if len(b.secret) > 0 {
		fmt.Fprintf(t, "pass_env = %s   # the Secret %s has them\n", tomltext.Texts(b.secret), b.secretName())
	}
}

// steps writes the commands that run when the image is made.
func (b *build) steps(t *strings.Builder) {
	begun := false
	for _, k := range b.Written() {
		if !strings.HasPrefix(k.Key, "steps.") || k.Default {
			continue
		}
		if !begun {
			t.WriteString("\n[build.steps]\n")
			begun = true
		}
		fmt.Fprintf(t, "%s = %s\n", strings.TrimPrefix(k.Key, "steps."), k.Value)
	}
}

func sorted[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
