package untrusted

import (
	"fmt"
	"io"
	"os"
)

// TooLargeError is that a file is larger than what is read of it.
type TooLargeError struct {
	Path string
	Size int64 // as far as it is known
	Most int64
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%s: %s, at most %s are read", e.Path, size(e.Size), size(e.Most))
}

// size returns a number of bytes for people.
func size(n int64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	of, unit := float64(n), 0
	for of >= 1024 && unit < len(units)-1 {
		of, unit = of/1024, unit+1
	}
	if of == float64(int64(of)) {
		return fmt.Sprintf("%d %s", int64(of), units[unit])
	}
	return fmt.Sprintf("%.1f %s", of, units[unit])
}

// ReadFile reads the regular file at path. One that is larger than most bytes is a *TooLargeError.
func ReadFile(path string, most int64) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // it was only read
	return Read(f, most)
}

// ReadBelow is ReadFile of rel below the folder dir, as [OpenBelow] finds it.
func ReadBelow(dir, rel string, most int64) ([]byte, error) {
	f, err := OpenBelow(dir, rel)
	if err != nil {
		return nil, err
	}
	defer f.Close() // it was only read
	return Read(f, most)
}

// Read reads the rest of a regular file. One that is larger than most bytes is a *TooLargeError.
func Read(f *os.File, most int64) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > most {
		return nil, &TooLargeError{f.Name(), info.Size(), most}
	}
	text, err := io.ReadAll(io.LimitReader(f, most+1)) // it may grow meanwhile
	if int64(len(text)) > most {
		return nil, &TooLargeError{f.Name(), int64(len(text)), most}
	}
	return text, err
}

// ReadStart reads a file of the kernel's at path up to its end, or as many bytes as most.
func ReadStart(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // it was only read
	return io.ReadAll(io.LimitReader(f, most))
}
