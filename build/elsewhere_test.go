package build

import (
	"strings"
	"testing"

	"github.com/medctrl/medctrl-supervisor/config"
)

// twoHosts are one project on two hosts with one database, of which once_on names the first.
func twoHosts(t *testing.T, settings string) (first, second *project) {
	t.Helper()
	settings = "DATABASES['default']['NAME'] = " + pythonText(t.TempDir()+"/db") + "\n" + settings
	const migrates = `migrations.RunPython(lambda apps, editor: did("migrated"))`
	first, second = newDjango(t, migrates, settings), newDjango(t, migrates, settings)
	second.Elsewhere = config.Elsewhere{Host: "web-1"}
	return first, second
}

func pythonText(text string) string { return "'" + text + "'" }

const lacksTheFirst = "the database default lacks the migrations things.0001_initial"

func TestRealReleaseWaitsForTheHostThatMigrates(t *testing.T) {
	t.Parallel()
	for name, check := range map[string]bool{"in the process of the check": true, "in a process of its own": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := twoHosts(t, "")
			second.Check = check
			waiting := second.start(t)
			until(t, "the second host to wait", func() bool {
				log, _ := readLog(second.root, second.Name) // there may be none yet
				return strings.Contains(string(log), lacksTheFirst+": waiting for web-1, which once_on names, to apply them\n")
			})
			first.made(t)
			must(t, waiting.wait())
			if !strings.Contains(first.did(t), "migrated") || strings.Contains(second.did(t), "migrated") {
				t.Errorf("the first did %q, the second %q", first.did(t), second.did(t))
			}
		})
	}
}

// A host that is late is no fault of the release: the attempt is repeated.
func TestRealReleaseIsTriedAgainWhereNobodyMigrates(t *testing.T) {
	t.Parallel()
	first, second := twoHosts(t, "")
	second.Databases = []string{"default"}
	step := second.failed(t)
	if step.Step != "migrate" || step.Final {
		t.Errorf("final %v: %v", step.Final, step)
	}
	contains(t, step.Error(), lacksTheFirst+", and web-1, which once_on names, has not applied them: deploy the same source there")
	first.made(t)
	second.made(t)
	second.Databases = []string{"defualt"}
	step = second.failed(t)
	contains(t, step.Error(), "migrate names the database defualt, and DATABASES in the settings has only default")
}

func TestRealChangedEnvironmentWaitsForTheHostThatMigrates(t *testing.T) {
	t.Parallel()
	first, second := twoHosts(t, "DATABASES['default']['NAME'] += os.environ.get('OTHER', '')\n")
	first.made(t)
	rel := second.made(t)
	other := map[string]string{"OTHER": "2"}
	err := second.look(t, rel, other)
	if err == nil || !err.Away { // it passes by itself
		t.Fatalf("another database: %+v", err)
	}
	contains(t, err.Error(), lacksTheFirst+": web-1, which once_on names, applies them")
	first.Env = other
	again := first.request()
	again.Force = true
	_, _, made := first.m.Make(t.Context(), again)
	must(t, made)
	if err := second.look(t, rel, other); err != nil {
		t.Error(err)
	}
}
