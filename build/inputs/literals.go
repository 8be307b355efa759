package inputs

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

var (
	moduleName = regexp.MustCompile(`^\.*[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$`)
	// filledIn is what a program fills in: {name} in an f-string or for format, %s and %(name)s.
	filledIn = regexp.MustCompile(`\{[^{}]*\}|%(?:\(\w+\))?[sd]`)
	// importers are functions that import the module, or what is in the module, that they are given.
	importers = []string{"import_module", "__import__", "import_string", "run_module"}
	// composed is a module's name of which the end is put together while the program runs: filled in, or
	// appended to a dot.
	composed = regexp.MustCompile(`^(\.*(?:[A-Za-z_]\w*\.)*)(?:\w*(?:\{[^{}]*\}|%(?:\(\w+\))?[sd])[\w.{}%()]*)?$`)
)

// literal adds the files that a text in a program names, the last of tokens: a path that ends in .py,
// as for exec or for include of django-split-settings, a module that is given to an importer or is
// below settings_dir, or one of a package that its __init__.py lists (__all__).
func (c *settingsClosure) literal(rel string, here []string, tokens []pythonToken) {
	last := len(tokens) - 1
	text := tokens[last].text
	given := last > 1 && tokens[last-1].is("(") && isImporter(tokens[last-2])
	switch {
	case strings.HasSuffix(text, ".py"):
		c.path(rel, folders(tokens[:last]), text)
		return
	case !moduleName.MatchString(text):
		c.composed(text, here, given)
		return
	}
	parts := absolute(text, here)
	switch {
	case given:
		c.module(parts)
		if len(parts) > 1 {
			c.module(parts[:len(parts)-1]) // the last may be what is in the module
		}
		return
	case len(parts) == 1 && filepath.Base(rel) == "__init__.py":
		parts = append(slices.Clone(here), parts...)
	case len(parts) <= len(c.pkg) || !slices.Equal(parts[:len(c.pkg)], c.pkg):
		return
	}
	path := filepath.Join(parts...)
	for _, file := range []string{path + ".py", filepath.Join(path, "__init__.py")} {
		if _, err := c.app.Stat(file); err == nil {
			c.module(parts)
		}
	}
}

func isImporter(t pythonToken) bool { return slices.ContainsFunc(importers, t.is) }

// absolute returns the parts of a module's name that may begin with dots, in a program of the package here.
func absolute(name string, here []string) []string {
	parts := strings.Split(strings.TrimLeft(name, "."), ".")
	if level := len(name) - len(strings.TrimLeft(name, ".")); level > 0 && level-1 <= len(here) {
		parts = append(slices.Clone(here[:len(here)-(level-1)]), parts...)
	}
	return parts
}

// composed adds what a name may stand for of which only the beginning is known, a package: one that is
// given to an importer, or settings_dir and what is below it. f"api_settings.settings.{ENV}", "conf." + ENV
func (c *settingsClosure) composed(text string, here []string, given bool) {
	found := composed.FindStringSubmatch(text)
	if found == nil || strings.Trim(found[1], ".") == "" {
		return
	}
	if parts := absolute(strings.TrimSuffix(found[1], "."), here); given || c.below(parts) {
		c.all(parts)
	}
}

// below says that a package is settings_dir or below it.
func (c *settingsClosure) below(parts []string) bool {
	return len(parts) >= len(c.pkg) && slices.Equal(parts[:len(c.pkg)], c.pkg)
}

// imported adds what an importer may be given, by the tokens after its bracket, where that is no name
// that is written out: it is mostly one of the settings next to the program.
func (c *settingsClosure) imported(here []string, tokens []pythonToken) {
	plain := len(tokens) > 1 && tokens[0].literal && moduleName.MatchString(tokens[0].text) && (tokens[1].is(")") || tokens[1].is(","))
	if len(tokens) == 0 || plain {
		return
	}
	c.all(c.pkg)
	if c.below(here) && len(here) > len(c.pkg) {
		c.all(here)
	}
}

// all adds every module and package in a package, but for settings of other builds.
func (c *settingsClosure) all(parts []string) {
	entries, err := fs.ReadDir(c.app.FS(), filepath.ToSlash(filepath.Join(append([]string{"."}, parts...)...)))
	if err != nil {
		return // there is none
	}
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".py")
		if strings.HasPrefix(name, "deploy_") || !e.IsDir() && name == e.Name() || !moduleName.MatchString(name) {
			continue
		}
		c.module(append(slices.Clone(parts), name))
	}
}

// folders returns the literals right before one that it is joined to by a comma or a slash:
// os.path.join(BASE_DIR, "conf", "x.py"), BASE_DIR / "conf" / "x.py".
func folders(before []pythonToken) (all []string) {
	for n := len(before); n > 1 && (before[n-1].is(",") || before[n-1].is("/")) && before[n-2].literal; n -= 2 {
		all = append([]string{before[n-2].text}, all...)
	}
	return all
}

// path adds the files that a path or pattern stands for. It may begin at the folder of the program,
// at the application or at one of the folders named before it. What is filled in may be anything but
// the name of another build.
func (c *settingsClosure) path(rel string, before []string, text string) {
	pattern := filledIn.ReplaceAllString(text, "*")
	for n := range len(before) + 1 {
		for _, dir := range []string{filepath.Dir(rel), "."} {
			path := filepath.Join(dir, filepath.Join(before[n:]...), pattern)
			if !filepath.IsLocal(path) {
				continue
			}
			found, err := fs.Glob(c.app.FS(), path)
			if err != nil {
				continue // it is no pattern, so no path either
			}
			for _, file := range found {
				if pattern == text || !strings.HasPrefix(filepath.Base(file), "deploy_") {
					c.add(file)
				}
			}
		}
	}
}
