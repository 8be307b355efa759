package cli

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/medctrl/medctrl-supervisor/supervisor/control"
)

// took4s is a deploy that has gone well.
func took4s(_ context.Context, name string, progress func(string)) (control.Deployed, error) {
	progress(name + ": building: API/medicines/views.py changed")
	progress(name + ": step 1 of 8: settings")
	return control.Deployed{From: "20261126T203933-aaaaaa", Release: "20261126T204937-bbbbbb", Changed: true, Took: 4.13, NoneLost: true}, nil
}

func TestDeployShowsItsStepsAndWhatServes(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	f := &fake{deploy: took4s}
	d.serve(f)
	out, errOut, code := d.run("deploy", "development")
	const want = "development: building: API/medicines/views.py changed\ndevelopment: step 1 of 8: settings\n" +
		"development: 20261126T203933 → 20261126T204937 in 4.1s, no request lost\n"
	if asked := f.took(); code != exitDone || out != want || errOut != "" || !slices.Equal(asked, []string{"deploy development true"}) {
		t.Errorf("exit %d, %q %q, asked for %q", code, out, errOut, asked)
	}
	if out, _, code := d.run("deploy", "--no-wait", "test*"); code != exitDone || out != "testing: deploy requested\n" || !slices.Equal(f.took(), []string{"deploy testing false"}) {
		t.Errorf("without waiting: exit %d, %q", code, out)
	}
	if _, errOut, code := d.run("deploy", "devlopment"); code != exitFailed || !strings.Contains(errOut, `did you mean "development"?`) {
		t.Errorf("of a mistyped name: exit %d, %q", code, errOut)
	}
	if _, _, code := d.run("deploy", "--json=maybe"); code != exitUsage {
		t.Errorf("of a mistyped flag: exit %d", code)
	}
}

func TestDeployWithoutNamesIsOfAllThatAreNotStopped(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	f := &fake{deploy: took4s, stopped: []string{"testing"}}
	d.serve(f)
	if out, _, code := d.run("deploy"); code != exitDone || strings.Contains(out, "testing") || !slices.Equal(f.took(), []string{"deploy development true"}) {
		t.Errorf("exit %d, %q", code, out)
	}
	f.stopped = []string{"testing", "development"}
	if _, errOut, code := d.run("deploy"); code != exitFailed || !strings.Contains(errOut, "every build is stopped; `start`") || len(f.took()) > 0 {
		t.Errorf("where all are stopped: exit %d, %q", code, errOut)
	}
}

func TestDeployThatFailsSaysWhyAndWhatServesOn(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	why := errors.New("build step check: exit code 1; last output: NameError: x (/root/build-failed.log)")
	d.serve(&fake{deploy: func(ctx context.Context, name string, progress func(string)) (control.Deployed, error) {
		if name == "development" {
			return control.Deployed{}, why
		}
		return took4s(ctx, name, progress)
	}})
	out, errOut, code := d.run("deploy")
	if code != exitFailed || !strings.Contains(out, "testing: 20261126T203933 → 20261126T204937") || errOut != "development: deploy failed: "+why.Error()+
		"; release 20260103T000000-cccccc keeps serving\nmedctrl-supervisor: deploy failed for 1 of 2 builds: development\n" {
		t.Errorf("exit %d, %q %q", code, out, errOut)
	}
}

func TestReasonOfSeveralBuildsIsGivenOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.serve(&fake{deploy: func(context.Context, string, func(string)) (control.Deployed, error) {
		return control.Deployed{}, errors.New("the file has mistakes")
	}})
	_, errOut, code := d.run("deploy")
	if code != exitFailed || strings.Count(errOut, "the file has mistakes") != 1 || strings.Count(errOut, "deploy failed: as of ") != 1 {
		t.Errorf("exit %d, %q", code, errOut)
	}
}

func TestDeployForProgramsIsAnObjectALine(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	f := &fake{deploy: took4s}
	d.serve(f)
	out, _, code := d.run("deploy", "development", "--json")
	var lines []deployLine
	for text := range strings.Lines(out) {
		var line deployLine
		if err := json.Unmarshal([]byte(text), &line); err != nil || line.Build != "development" {
			t.Fatalf("%q: %v", text, err)
		}
		lines = append(lines, line)
	}
	if code != exitDone || len(lines) != 3 || lines[0].Progress != "building: API/medicines/views.py changed" || lines[2].Result != "done" ||
		lines[2].Deployed == nil || !lines[2].Deployed.NoneLost || !strings.Contains(out, `"doubts":[]`) {
		t.Errorf("exit %d, %s", code, out)
	}
	f.deploy = func(context.Context, string, func(string)) (control.Deployed, error) {
		return control.Deployed{}, errors.New("no")
	}
	if out, errOut, code := d.run("deploy", "development", "--json"); code != exitFailed || errOut != "" || out != `{"build":"development","result":"failed","error":"no"}`+"\n" {
		t.Errorf("exit %d, %q %q", code, out, errOut)
	}
	if out, _, code := d.run("deploy", "testing", "--json", "--no-wait"); code != exitDone || out != `{"build":"testing","result":"requested"}`+"\n" {
		t.Errorf("exit %d, %q", code, out)
	}
}

func TestDeployWithoutASupervisorIsExitCode3(t *testing.T) {
	t.Parallel()
	if _, _, code := newDesk(t).run("deploy"); code != exitNoSupervisor {
		t.Errorf("exit %d", code)
	}
}
