package build

import (
	"os/exec"
	"strings"
	"testing"
)

// needReal is for a test that takes seconds because of the real pip or Django. `make unit` leaves it
// out, with -short, and `make e2e` runs all tests whose name begins with TestReal.
func needReal(t *testing.T) {
	t.Helper()
	if !strings.HasPrefix(t.Name(), "TestReal") {
		t.Fatal("neither `make unit` nor `make e2e` runs it: its name has to begin with TestReal")
	}
	if testing.Short() {
		t.Skip("is run by make e2e")
	}
}

// needDjango skips where the distribution's Django is not installed: .ci/install puts it there, and
// with it also what a virtual environment needs.
func needDjango(t testing.TB) {
	t.Helper()
	if err := exec.Command(distribution, "-c", "import django, gunicorn").Run(); err != nil {
		t.Skipf("%s cannot import django and gunicorn: apt install python3-django python3-gunicorn", distribution)
	}
}
