package build

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// fewFiles is up to how many files one is synced at a time; beyond it the whole file system is
// cheaper, though others write to it as well.
const fewFiles = 300

// syncTree brings everything below dir to the disk.
func syncTree(dir string) error {
	var all []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if len(all) > fewFiles {
			return filepath.SkipAll
		}
		if d.IsDir() || d.Type().IsRegular() {
			all = append(all, path)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("bring %s to the disk: %w", dir, err)
	}
	if len(all) > fewFiles {
		return syncWith(dir, func(f *os.File) error { return unix.Syncfs(int(f.Fd())) })
	}
	// All are told to go before one is waited for; what fails here fails below.
	for _, path := range all {
		_ = syncWith(path, func(f *os.File) error {
			return unix.SyncFileRange(int(f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE)
		})
	}
	for i := len(all) - 1; i >= 0; i-- { // what is in a folder before the folder
		if err := syncOne(all[i]); err != nil {
			return err
		}
	}
	return nil
}

// syncOne brings a file, or the entries of a folder, to the disk.
func syncOne(path string) error { return syncWith(path, (*os.File).Sync) }

func syncWith(path string, sync func(*os.File) error) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("bring %s to the disk: %w", path, err)
	}
	defer f.Close() // nothing was written through it
	if err := sync(f); err != nil {
		return fmt.Errorf("bring %s to the disk: %w", path, err)
	}
	return nil
}
