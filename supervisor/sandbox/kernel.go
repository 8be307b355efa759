package sandbox

import (
	"errors"
	"fmt"
	"runtime"

	landlock "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// The versions of Landlock that bring what a box uses, and the first kernel of each.
const (
	abiFirst    = 1 // files and folders; Linux 5.13
	abiRefer    = 2 // moving files between folders; 5.19
	abiTruncate = 3 // shortening files; 6.2
	abiTCP      = 4 // TCP ports; 6.7
	abiDevices  = 5 // ioctl(2) of devices; 6.10
	abiScoped   = 6 // signals and abstract unix sockets; 6.12
)

// gains are what each version adds, for people.
var gains = []struct {
	abi          int
	what, kernel string
}{
	{abiFirst, "files and folders", "5.13"},
	{abiTruncate, "shortening of files", "6.2"},
	{abiTCP, "TCP ports", "6.7"},
	{abiDevices, "ioctl of devices", "6.10"},
	{abiScoped, "signals and abstract sockets", "6.12"},
}

// Kernel is what the kernel offers for boxes.
type Kernel struct{ ABI int } // version of Landlock

// Here asks the kernel that we run on. An error says why there can be no box, and what to do.
func Here() (Kernel, error) {
	if !supported {
		return Kernel{}, fmt.Errorf("there is no list of the system calls of %s: use amd64 or arm64", runtime.GOARCH)
	}
	abi, err := landlock.LandlockGetABIVersion()
	switch {
	case errors.Is(err, unix.ENOSYS):
		return Kernel{}, errors.New("the kernel has no Landlock: use Linux 5.13 or later, built with CONFIG_SECURITY_LANDLOCK; a container's seccomp profile must allow it")
	case errors.Is(err, unix.EOPNOTSUPP):
		return Kernel{}, errors.New("the kernel was started with Landlock switched off: add landlock to the list lsm= on the kernel's command line")
	case err != nil:
		return Kernel{}, fmt.Errorf("ask for the version of Landlock: %w; a container's seccomp profile must allow landlock_create_ruleset", err)
	}
	if abi >= abiScoped {
		// A box whose signals are confined could not signal its own threads at first, which the
		// library that makes rulesets takes into account as well.
		if errata, err := landlock.LandlockGetErrata(); err != nil || errata&2 == 0 {
			abi = abiDevices
		}
	}
	return Kernel{abi}, nil
}

// Confines is what boxes confine here, and Lacks what they do not and the kernel that would.
func (k Kernel) Confines() (all []string) {
	for _, g := range gains {
		if k.ABI >= g.abi {
			all = append(all, g.what)
		}
	}
	return all
}

// Lacks is what a later kernel would confine in addition, each with its version.
func (k Kernel) Lacks() (all []string) {
	for _, g := range gains {
		if k.ABI < g.abi {
			all = append(all, g.what+" (Linux "+g.kernel+")")
		}
	}
	return all
}

// TCP reports whether ports can be confined.
func (k Kernel) TCP() bool { return k.ABI >= abiTCP }
