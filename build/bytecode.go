package build

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/medctrl/medctrl-supervisor/build/inputs"
	"github.com/medctrl/medctrl-supervisor/config/untrusted"
)

// manifestFile records what each file of a release holds, so that the next one need not compile
// again what is the same.
const manifestFile = "manifest.json"

// mostListed is more than a manifest of a hundred thousand files has.
const mostListed = 64 << 20

type manifest struct {
	App   string // app_dir
	Files inputs.Tree
	Made  *ingredients `json:",omitempty"` // of releases of earlier versions it is not known
}

func writeManifest(dir string, m manifest) error {
	text, err := json.Marshal(m)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, manifestFile), text, 0o640)
	}
	if err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	return nil
}

// reuseBytecode takes over what the release in before compiled of files that are the same in app,
// and returns the sources that are left to compile. Bytecode belongs to a file by its time in
// seconds and its size (PEP 552), so the file takes over its time too. The path in it, of the
// earlier release, is corrected at import (importlib, _fix_co_filename), so tracebacks are right.
func reuseBytecode(app string, now inputs.Tree, before string) (stale []string) {
	old := readManifest(before)
	caches := map[string]map[string][]string{} // folder -> source -> names of its bytecode
	for rel, hash := range now {
		if filepath.Ext(rel) != ".py" || hash == inputs.ClosedEntry || strings.HasPrefix(hash, "link ") {
			continue
		}
		dir, file := filepath.Split(rel)
		if old.Files[rel] != hash || !takeOver(filepath.Join(app, dir), filepath.Join(before, appFolder(old.App), dir), file, caches) {
			stale = append(stale, rel)
		}
	}
	slices.Sort(stale)
	return stale
}

func readManifest(dir string) manifest {
	var m manifest
	text, err := untrusted.ReadBelow(dir, manifestFile, mostListed)
	if dir == "" || err != nil || json.Unmarshal(text, &m) != nil {
		return manifest{} // everything is compiled
	}
	return m
}

// takeOver copies the bytecode of a file from the folder old to the folder dir.
func takeOver(dir, old, file string, caches map[string]map[string][]string) bool {
	cache := filepath.Join(old, "__pycache__")
	known, ok := caches[old]
	if !ok {
		known = map[string][]string{}
		entries, err := os.ReadDir(cache)
		if err == nil && len(entries) > 0 {
			err = os.Mkdir(filepath.Join(dir, "__pycache__"), 0o750)
		}
		if err != nil {
			entries = nil
		}
		for _, e := range entries {
			if source, _, ok := strings.Cut(e.Name(), ".cpython-"); ok && filepath.Ext(e.Name()) == ".pyc" {
				known[source+".py"] = append(known[source+".py"], e.Name())
			}
		}
		caches[old] = known
	}
	info, err := os.Stat(filepath.Join(old, file))
	if err != nil || len(known[file]) == 0 {
		return false
	}
	if os.Chtimes(filepath.Join(dir, file), info.ModTime(), info.ModTime()) != nil {
		return false
	}
	for _, name := range known[file] {
		to := filepath.Join(dir, "__pycache__", name)
		if _, err := inputs.CopyFile(context.Background(), os.OpenFile, filepath.Join(cache, name), to, inputs.Ourselves); err != nil {
			os.Remove(to) // half of one; it is compiled then
			return false
		}
	}
	return true
}
