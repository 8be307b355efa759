// Package packaging holds what packages are made of, and tests of it that need no package.
package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// read returns a file of YAML.
func read(t *testing.T, path string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := yaml.Unmarshal(text, &all); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return all
}

// A release and `make deb` make the same packages, by two descriptions.
func TestPackagesOfAReleaseAreThoseOfMake(t *testing.T) {
	t.Parallel()
	of := read(t, "nfpm.yaml")
	releases := read(t, "../../.goreleaser.yaml")["nfpms"].([]any)[0].(map[string]any)
	for _, key := range []string{"release", "section", "priority", "maintainer", "vendor", "homepage", "license", "description"} {
		if of[key] == nil || !reflect.DeepEqual(of[key], releases[key]) {
			t.Errorf("%s is %v, that of a release %v", key, of[key], releases[key])
		}
	}
	var contents []any
	for _, c := range of["contents"].([]any) {
		entry := c.(map[string]any)
		if entry["dst"] == "/usr/bin/medctrl-supervisor" && releases["bindir"] == "/usr/bin" {
			continue // goreleaser adds it by itself
		}
		delete(entry, "expand") // goreleaser has no variables
		entry["src"] = strings.Replace(entry["src"].(string), "${OUT}/", "bin/", 1)
		contents = append(contents, entry)
	}
	if !reflect.DeepEqual(contents, releases["contents"]) {
		t.Errorf("the contents are\n%v\nthose of a release\n%v", contents, releases["contents"])
	}
	for format, o := range of["overrides"].(map[string]any) {
		keys := o.(map[string]any)
		keys["dependencies"] = keys["depends"]
		delete(keys, "depends")
		if of := releases["overrides"].(map[string]any)[format]; !reflect.DeepEqual(of, o) {
			t.Errorf("%s: %v, a release has %v", format, o, of)
		}
	}
}

func TestScriptsOfPackagesAreThereAndParse(t *testing.T) {
	t.Parallel()
	scripts := 0
	for _, o := range read(t, "nfpm.yaml")["overrides"].(map[string]any) {
		for _, script := range o.(map[string]any)["scripts"].(map[string]any) {
			scripts++
			if out, err := exec.Command("sh", "-n", filepath.Join("../..", script.(string))).CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s", script, err, out)
			}
		}
	}
	if scripts != 7 {
		t.Errorf("there are %d scripts", scripts)
	}
}

// Who builds with the Go of a distribution is told which one is needed, whatever that Go says.
func TestMakeSaysWhichGoIsNeeded(t *testing.T) {
	t.Parallel()
	for said, fails := range map[string]bool{
		"echo go version go1.19.8 linux/amd64":                                                     true,
		"echo go version go1.9 linux/amd64":                                                        true,
		"echo 'go: go.mod requires go >= 1.26 (running go 1.24.4; GOTOOLCHAIN=local)' >&2; exit 1": true,
		"echo go version go1.26.8 linux/amd64":                                                     false,
		"echo go version go1.30rc1 linux/amd64":                                                    false,
	} {
		bin := t.TempDir()
		if err := os.WriteFile(filepath.Join(bin, "go"), []byte("#!/bin/sh\n"+said+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("make", "-C", "../..", "needs-go")
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "MAKEFLAGS=", "MAKELEVEL=", "GO=go")
		out, err := cmd.CombinedOutput()
		told := strings.Contains(string(out), "needs Go 1.26 or newer") && strings.Contains(string(out), "https://go.dev/dl/")
		if (err != nil) != fails || told != fails {
			t.Errorf("with a go that does %s: %v\n%s", said, err, out)
		}
	}
}

// A release's notes are what CHANGELOG.md says of it.
func TestChangelogHasNotesForItsVersions(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	versions := regexp.MustCompile(`(?m)^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d$`).FindAllStringSubmatch(string(text), -1)
	if len(versions) == 0 {
		t.Fatal("CHANGELOG.md has no version")
	}
	for _, v := range versions {
		out, err := exec.Command("../../.ci/notes", "v"+v[1]).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "### ") || strings.Contains(string(out), "## [") {
			t.Errorf("the notes of %s: %v\n%s", v[1], err, out)
		}
		if !strings.Contains(string(text), "\n["+v[1]+"]: https://") {
			t.Errorf("CHANGELOG.md has no link for %s", v[1])
		}
	}
	if out, err := exec.Command("../../.ci/notes", "v0.0.0").CombinedOutput(); err == nil {
		t.Errorf("a version that it does not have: %s", out)
	}
}
