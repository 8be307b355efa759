package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor"
)

func nginxCommand(file *string) *cobra.Command {
	o := supervisor.NginxOptions{}
	c := &cobra.Command{
		Use:   "nginx",
		Short: "Print the Nginx location blocks of all builds",
		Long: `Print the Nginx configuration that passes the location of each build to its
socket, ready to be included in a server block. It reads only the file and needs
no running supervisor. The sockets' paths never change, so doing it once is
enough until a build is added or its location changes.`,
		Example: `  medctrl-supervisor nginx > /etc/nginx/medctrl.conf
  medctrl-supervisor nginx --upstreams > /etc/nginx/conf.d/medctrl-upstreams.conf
  medctrl-supervisor nginx --locations > /etc/nginx/medctrl-locations.conf`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Plain && (o.Upstreams || o.Locations) || o.Upstreams && o.Locations {
				return usage(errors.New("--plain, --upstreams and --locations exclude each other"))
			}
			cfg, err := config.Load(*file)
			if err != nil {
				return err
			}
			return supervisor.Nginx(cmd.OutOrStdout(), cfg, o)
		},
	}
	c.Flags().BoolVar(&o.Plain, "plain", false, "do not retry requests that were cut off half-way")
	c.Flags().BoolVar(&o.Upstreams, "upstreams", false, "only the upstream blocks, for http { }")
	c.Flags().BoolVar(&o.Locations, "locations", false, "only the location blocks that go with --upstreams, for server { }")
	return c
}
