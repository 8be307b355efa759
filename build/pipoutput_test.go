package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What pip says of a package that cannot be built is a page; people read the last lines of it.
func TestRealReasonOfAFailedInstallIsThatOfThePackageWithFilesOfTheSource(t *testing.T) {
	t.Parallel()
	needReal(t)
	for name, c := range map[string]struct {
		setup, requirements string // setup.py of ./libs/demo
		last                string // what is said last
		names               string // a file below the source
	}{
		"a chain of exceptions": {
			"try:\n    import nowhere\nexcept ImportError as e:\n    raise SystemError('no headers') from e\n", "./libs/demo\n",
			"caused by ModuleNotFoundError: No module named 'nowhere'", "libs/demo/setup.py",
		},
		"a message": {"import sys\nsys.exit('mysql.h is missing: install libmysqlclient-dev')\n", "./libs/demo\n", "mysql.h is missing: install libmysqlclient-dev", ""},
		"a bad line next to a local project": {
			"from setuptools import setup\nsetup(name='demo', version='1')\n", "./libs/demo\n-r more/bad.txt\n", "of {source}/more/bad.txt)", "more/bad.txt",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := bareProject(t, "")
			p.PipArgs = []string{"--no-index", "--no-build-isolation"}
			p.SystemSitePackages = true // for setuptools
			p.write(t, "libs/demo/setup.py", c.setup)
			p.write(t, "more/bad.txt", "\nfoo bar baz\n")
			p.write(t, "requirements.txt", c.requirements)
			step := p.failed(t)
			last := strings.ReplaceAll(c.last, "{source}", p.Source)
			if got := step.Tail[len(step.Tail)-1]; !strings.Contains(got, last) {
				t.Errorf("last is said %q, want %q", got, last)
			}
			if c.names != "" {
				contains(t, step.Error(), filepath.Join(p.Source, c.names))
			}
			if strings.Contains(step.Error(), copiesFolder) || strings.Contains(step.Error(), tempPrefix) {
				t.Errorf("it names a temporary file: %v", step)
			}
			log, err := os.ReadFile(step.Log)
			must(t, err)
			if c.names == "libs/demo/setup.py" {
				contains(t, string(log), "[end of output]") // all of it is there
			}
		})
	}
}

func TestFrameOfPipIsTakenOffTheOutputOfAProgram(t *testing.T) {
	t.Parallel()
	const boxed = `Processing ./libs/demo
  Preparing metadata (setup.py): finished with status 'error'
  error: subprocess-exited-with-error

  × python setup.py egg_info did not run successfully.
  │ exit code: 1
  ╰─> [3 lines of output]
      Traceback (most recent call last):
        File "setup.py", line 1, in <module>
      ModuleNotFoundError: No module named 'x'
      [end of output]

  note: This error originates from a subprocess, and is likely not a problem with pip.
error: metadata-generation-failed

× Encountered error while generating package metadata.
╰─> demo

note: This is an issue with the package mentioned above, not pip.
hint: See above for details.`
	const want = `Processing ./libs/demo
  Preparing metadata (setup.py): finished with status 'error'
  error: subprocess-exited-with-error

  × python setup.py egg_info did not run successfully.
  │ exit code: 1
Traceback (most recent call last):
  File "setup.py", line 1, in <module>
ModuleNotFoundError: No module named 'x'


╰─> demo
`
	if got := strings.TrimRight(strings.Join(unboxed(strings.Split(boxed, "\n")), "\n"), "\n"); got != strings.TrimRight(want, "\n") {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	const plain = "note: This error originates from a subprocess, and is likely not a problem with pip.\nhint: See above for details."
	if got := strings.Join(unboxed(strings.Split(plain, "\n")), "\n"); got != plain {
		t.Errorf("without a frame: %q", got)
	}
}
