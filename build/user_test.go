package build

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/medctrl/medctrl-supervisor/build/inputs"
	"github.com/medctrl/medctrl-supervisor/config"
)

// runAsNobody lets everyone pass to the test's folder, whose parent t.TempDir makes for its owner
// only.
func (p *project) runAsNobody(t *testing.T) {
	t.Helper()
	if _, err := user.Lookup("nobody"); os.Geteuid() != 0 || err != nil {
		t.Skip("needs root, and a user nobody: ", err)
	}
	for _, dir := range []string{filepath.Dir(p.root), filepath.Dir(filepath.Dir(p.root))} {
		must(t, os.Chmod(dir, 0o755))
	}
	must(t, os.Remove(p.data())) // of another user
	p.User = "nobody"
}

func TestStepsRunAsTheBuildsUserAndCannotChangeWhatServes(t *testing.T) {
	t.Parallel()
	p := newProject(t, `
did("%s as %d %d, home %s, umask %04o" % (sys.argv[1], os.getuid(), os.getgid(), os.environ["HOME"], os.umask(0)))
for path in sys.prefix, os.getcwd(), os.path.dirname(os.getcwd()), "manage.py", os.path.join(os.environ["MEDCTRL_DATA"], ".."):
    if os.access(path, os.W_OK): did(path + " can be changed")
`)
	p.runAsNobody(t)
	nobody, err := user.Lookup("nobody")
	must(t, err)
	uid, err := strconv.Atoi(nobody.Uid)
	must(t, err)
	gid, err := strconv.Atoi(nobody.Gid)
	must(t, err)
	// What pip leaves may belong to anybody and be open to everybody.
	p.fakePip(t, `umask 0; echo "pip as $(id -u) $(id -g), home $HOME" >>"$MEDCTRL_DATA/did"; mkdir "$VIRTUAL_ENV/open"; echo secret >"$VIRTUAL_ENV/open/file"; chmod 4777 "$VIRTUAL_ENV/open/file"`)
	p.CollectStatic = true
	must(t, os.Chmod(p.SettingsFile(), 0o600)) // ours alone
	rel := p.made(t)
	want := fmt.Sprintf("pip as %d %d, home %s\n", uid, gid, nobody.HomeDir)
	for _, step := range []string{"check --deploy", "migrate --noinput", "collectstatic --noinput"} {
		first, _, _ := strings.Cut(step, " ")
		want += fmt.Sprintf("%s as %d %d, home %s, umask 0027\n%s\n", first, uid, gid, nobody.HomeDir, step)
	}
	if got := p.did(t); got != want {
		t.Errorf("steps did\n%s\nwant\n%s", got, want)
	}
	for _, dir := range []string{rel.Dir, rel.Venv} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			stat := info.Sys().(*syscall.Stat_t)
			mode := info.Mode()
			if stat.Uid != 0 || int(stat.Gid) != gid || d.Type() != fs.ModeSymlink && (mode.Perm()&0o027 != 0 || mode.Perm()&0o040 == 0 || mode&fs.ModeSetuid != 0) {
				t.Errorf("%s is of %d:%d with mode %v", path, stat.Uid, stat.Gid, mode)
			}
			return nil
		})
		must(t, err)
	}
	if info, err := os.Stat(p.data()); err != nil || int(info.Sys().(*syscall.Stat_t).Uid) != uid || info.Mode().Perm() != 0o750 {
		t.Errorf("data: %v %v", info, err)
	}
}

func TestHomeOfTheFileOfVariablesStays(t *testing.T) {
	t.Parallel()
	p := newProject(t, "did(os.environ['HOME'])")
	p.runAsNobody(t)
	p.EnvFile = filepath.Join(p.Source, "env")
	p.write(t, "env", "HOME=/somewhere\n")
	p.environment(t)
	p.made(t)
	contains(t, p.did(t), "/somewhere\ncheck --deploy\n")
}

func TestInterpreterOfTheBuildsUserIsNotRunAsUs(t *testing.T) {
	t.Parallel()
	p := newProject(t, "")
	p.runAsNobody(t)
	p.fakePip(t, "")
	ran := filepath.Join(filepath.Dir(p.root), "ran")
	must(t, os.WriteFile(ran, nil, 0o666))
	must(t, os.Chmod(ran, 0o666))
	p.write(t, "python", strings.Replace(fakePython, "\n", "\nid -un >>"+ran+"\n", 1))
	must(t, os.Chown(p.Python, 65534, 65534))
	rel := p.made(t)
	if got := read(t, ran); strings.Trim(got, "nobdy\n") != "" || got == "" {
		t.Errorf("it ran as %q", got)
	}
	contains(t, read(t, filepath.Join(rel.Dir, "build.log")), "not everything could be compiled", p.Python)
}

func TestHomeIsTheUsersUnlessTheBuildSaysOtherwise(t *testing.T) {
	t.Parallel()
	own := []string{"HOME=/root", "A=b"}
	nobody := config.Identity{Home: "/home/nobody"}
	for _, c := range []struct {
		env  []string
		as   config.Identity
		want string
	}{
		{own, nobody, "/home/nobody"},
		{own, config.Identity{}, "/root"},
		{[]string{"HOME=/build"}, nobody, "/build"},
		{nil, nobody, ""},
	} {
		if got := inputs.EnvValue(withHome(slices.Clone(c.env), own, c.as), "HOME"); got != c.want {
			t.Errorf("%q for %+v: home is %q, want %q", c.env, c.as, got, c.want)
		}
	}
}

func TestCommandsRunAsTheIdentitySays(t *testing.T) {
	t.Parallel()
	uid, gid := os.Geteuid(), os.Getegid()
	if c := credential(config.Identity{UID: uid, GID: -1}); c != nil {
		t.Errorf("for ourselves it is %+v", c)
	}
	groups := []uint32{7}
	c := credential(config.Identity{UID: uid + 1, GID: gid + 1, Groups: groups})
	if c == nil || c.UID != uint32(uid+1) || c.GID != uint32(gid+1) || !slices.Equal(c.Groups, groups) {
		t.Errorf("for another user it is %+v", c)
	}
	if c := credential(config.Identity{UID: -1, GID: gid + 1}); c == nil || c.UID != uint32(uid) || c.GID != uint32(gid+1) {
		t.Errorf("for another group it is %+v", c)
	}
}

// The error of an attempt is the one that is said beforehand.
func TestFoldersThatTheBuildsUserMayNotEnterAreNamed(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root gives a build another user")
	}
	p := bareProject(t, "")
	p.User = "nobody"
	must(t, os.Chmod(filepath.Dir(p.root), 0o700))
	step := p.failed(t)
	why := MayNotEnter(p.root, config.Identity{UID: 65534, GID: 65534})
	if why == nil || !strings.Contains(step.Error(), why.Error()) || strings.Contains(step.Error(), "python3-venv") {
		t.Errorf("%v, want %v", step, why)
	}
}

func TestInterpreterThatTheBuildsUserMayNotExecuteIsNamed(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root gives a build another user")
	}
	p := bareProject(t, "")
	p.User, p.Python = "nobody", filepath.Join(p.Source, "python")
	p.write(t, "python", fakePython)
	must(t, os.Chmod(p.Python, 0o700))
	_, _, err := p.m.Make(t.Context(), p.request())
	if err == nil || !strings.Contains(err.Error(), "may not execute "+p.Python) {
		t.Errorf("%v", err)
	}
}
