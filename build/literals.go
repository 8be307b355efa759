package build

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
)

// literal adds the files that a text in a program names, the last of tokens: a path that ends in .py,
// as for exec or for include of django-split-settings, a module that is given to an importer or is
// below settings_dir, or one of a package that its __init__.py lists (__all__).
func (c *settingsClosure) literal(rel string, here []string, tokens []pythonToken) {
	last := len(tokens) - 1
	text := tokens[last].text
	switch {
	case strings.HasSuffix(text, ".py"):
		c.path(rel, folders(tokens[:last]), text)
		return
	case !moduleName.MatchString(text):
		return
	}
	parts := strings.Split(strings.TrimLeft(text, "."), ".")
	level := len(text) - len(strings.TrimLeft(text, "."))
	if level > 0 && level-1 <= len(here) {
		parts = append(slices.Clone(here[:len(here)-(level-1)]), parts...)
	}
	switch {
	case last > 1 && tokens[last-1].is("(") && slices.ContainsFunc(importers, tokens[last-2].is):
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
