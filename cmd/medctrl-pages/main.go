// Command medctrl-pages writes the manual pages and the shells' completions of medctrl-supervisor
// when it is built. It is not installed.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// version is set by the linker (see the Makefile).
var version = "dev"

const usage = `usage: medctrl-pages FOLDER CHECKOUT

Writes the manual pages and the shells' completions into FOLDER, laid out as in
/usr/share: the commands' from their help, builds.toml(5) from the documentation
in CHECKOUT. The pages are dated $SOURCE_DATE_EPOCH, or not at all.`

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Getenv("SOURCE_DATE_EPOCH")); err != nil {
		fmt.Fprintln(os.Stderr, "medctrl-pages:", err)
		os.Exit(1)
	}
}

// run writes everything into a folder. epoch is the date of the pages in seconds since 1970.
func run(folder, checkout, epoch string) error {
	date, err := sourceDate(epoch)
	if err != nil {
		return err
	}
	share, err := shared(checkout, version, date)
	if err != nil {
		return err
	}
	for name, text := range share {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("make folder of %s: %w", name, err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}

// sourceDate returns the date of the source, "" where none is given. With it the same source makes
// the same pages (reproducible-builds.org/specs/source-date-epoch).
func sourceDate(epoch string) (string, error) {
	if epoch == "" {
		return "", nil
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return "", fmt.Errorf("SOURCE_DATE_EPOCH=%s: want a number of seconds since 1970", epoch)
	}
	return time.Unix(seconds, 0).UTC().Format(time.DateOnly), nil
}
