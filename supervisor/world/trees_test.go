package world

import (
	"os"
	"reflect"
	"testing"

	"github.com/medctrl/medctrl-supervisor/config"
	"github.com/medctrl/medctrl-supervisor/supervisor/process"
)

func TestCredentialIsWhatTheEntrySaysAndElseOurs(t *testing.T) {
	t.Parallel()
	uid, gid := uint32(os.Geteuid()), uint32(os.Getegid())
	for _, c := range []struct {
		id   config.Identity
		want *process.Credential
	}{
		{config.Identity{UID: -1, GID: -1}, nil},
		{config.Identity{UID: 33, GID: 44, Groups: []uint32{44, 55}}, &process.Credential{UID: 33, GID: 44, Groups: []uint32{44, 55}}},
		{config.Identity{UID: -1, GID: 44}, &process.Credential{UID: uid, GID: 44}},
		{config.Identity{UID: 33, GID: -1}, &process.Credential{UID: 33, GID: gid}},
	} {
		if got := credential(c.id); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v runs as %+v, want %+v", c.id, got, c.want)
		}
	}
}
