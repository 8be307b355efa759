package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/landlock-lsm/go-landlock/landlock"
	access "github.com/landlock-lsm/go-landlock/landlock/syscall"
)

// Policy is what a process in a box may reach, in addition to the system (system.go). Paths are
// absolute. What is not there is left out.
type Policy struct {
	// Read are files and folders, with all that is below them, which may be read and executed.
	Read []string
	// Write may be read and changed. Devices cannot be made there.
	Write []string
	// Temp is as Write, and Log may be written, which is all: what is of one start alone. Log may be a
	// file that is open, /proc/self/fd/N.
	Temp, Log string
	// Private is what stays out of reach although it lies below the system or Read, without links on
	// the way. It is within reach, or what lies in it, where Read or Write names that itself.
	Private []string
	// Readable says whether the process has the right to read what is private by its owner and mode;
	// nil: always. A folder is given as a whole where nothing private in it can be read anyway.
	Readable func(path string) bool
	// AsRoot says that the process is root: then what only root may read of the system is private.
	AsRoot bool
	// Connect and Bind are the TCP ports that may be used; nil: all.
	Connect, Bind *[]uint16
}

// What may be done with files. A device that could be made would lead around every rule.
const (
	readFile  = access.AccessFSExecute | access.AccessFSReadFile
	read      = readFile | access.AccessFSReadDir
	writeFile = readFile | access.AccessFSWriteFile | access.AccessFSTruncate
	write     = read | writeFile | access.AccessFSRemoveDir | access.AccessFSRemoveFile | access.AccessFSMakeDir |
		access.AccessFSMakeReg | access.AccessFSMakeSock | access.AccessFSMakeFifo | access.AccessFSMakeSym | access.AccessFSRefer
	device = writeFile | access.AccessFSIoctlDev
)

// config is all that a kernel can confine. Newer ones could confine more, connections to sockets by
// their path for one; that would be another box, which breaks what works in this one.
func (k Kernel) config(p Policy) landlock.Config {
	c := landlock.Config{HandledAccessFS: landlock.V1.HandledAccessFS}
	if k.ABI >= abiRefer {
		c.HandledAccessFS |= access.AccessFSRefer
	}
	if k.ABI >= abiTruncate {
		c.HandledAccessFS |= access.AccessFSTruncate
	}
	if k.ABI >= abiTCP && p.Connect != nil {
		c.HandledAccessNet |= access.AccessNetConnectTCP
	}
	if k.ABI >= abiTCP && p.Bind != nil {
		c.HandledAccessNet |= access.AccessNetBindTCP
	}
	if k.ABI >= abiDevices {
		c.HandledAccessFS |= access.AccessFSIoctlDev
	}
	if k.ABI >= abiScoped {
		c.Scoped = access.ScopeAbstractUnixSocket | access.ScopeSignal
	}
	return c
}

// Ruleset makes the ruleset of a policy. The caller closes it.
func (p Policy) Ruleset() (*os.File, error) {
	kernel, err := Here()
	if err != nil {
		return nil, err
	}
	ruleset, _, err := p.look(kernel).ruleset()
	if err != nil {
		return nil, err
	}
	return p.complete(ruleset, kernel)
}

// look finds on this machine what a ruleset of the policy is made of.
func (p Policy) look(k Kernel) scene { return p.lookBeside(lookAround(), k) }

// lookBeside is look where what is around is known.
func (p Policy) lookBeside(around []given, k Kernel) scene {
	s := scene{config: k.config(p), given: append(make([]given, 0, 64), around...)}
	s.give(write, false, found(p.Write)...)
	readable := found(p.Read)
	for _, dir := range system {
		if filepath.Dir(dir) != "/" {
			s.give(read, true, place{dir, true})
		}
	}
	s.give(read, true, found(nameservers)...)
	s.give(read, true, readable...)
	s.private = p.private(readable)
	if s.config.HandledAccessNet&access.AccessNetConnectTCP != 0 {
		s.connect = *p.Connect
	}
	if s.config.HandledAccessNet&access.AccessNetBindTCP != 0 {
		s.bind = *p.Bind
	}
	return s
}

// complete adds to a ruleset what is of one start alone. Where it cannot, the ruleset is closed.
func (p Policy) complete(ruleset *os.File, k Kernel) (_ *os.File, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("make a Landlock ruleset: %w", err), ruleset.Close())
		}
	}()
	r := rules{handled: k.config(p).HandledAccessFS}
	if p.Temp != "" {
		r.add(write, found([]string{p.Temp})...)
	}
	if p.Log != "" {
		r.all = append(r.all, rule{access.AccessFSWriteFile, p.Log})
	}
	for _, one := range r.all {
		if err := one.addTo(ruleset); err != nil {
			return nil, err
		}
	}
	return ruleset, nil
}

// private returns what of Private is in the folders that may be read and could be read there.
func (p Policy) private(readable []place) (all []string) {
	for _, path := range p.Private {
		inside := func(dir string) bool { return isBelow(path, dir) }
		if !slices.ContainsFunc(system, inside) && !slices.ContainsFunc(readable, func(at place) bool { return inside(at.path) }) {
			continue
		}
		if p.Readable == nil || p.Readable(path) {
			all = append(all, path)
		}
	}
	if p.AsRoot {
		all = append(all, ofRoot...)
	}
	return all
}

// place is a file or folder.
type place struct {
	path string
	dir  bool
}

// found returns the places of paths that are there and can be seen, without links.
func found(paths []string) (all []place) {
	for _, path := range paths {
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			continue
		}
		if info, err := os.Lstat(real); err == nil {
			all = append(all, place{real, info.IsDir()})
		}
	}
	return all
}

// without returns the place, or what is in it but for what is private. Links in a folder that is not
// given as a whole are left out: what they lead to has a rule of its own, or is not to be reached.
// The folders that it looked into are added to listed.
func (at place) without(private []string, listed *[]listing) []place {
	if !at.dir || !slices.ContainsFunc(private, func(p string) bool { return isBelow(p, at.path) }) {
		return []place{at}
	}
	*listed = append(*listed, listingOf(at.path))
	entries, err := os.ReadDir(at.path)
	if err != nil {
		return nil // it is not there, or nobody else can read it either
	}
	var all []place
	for _, e := range entries {
		path := filepath.Join(at.path, e.Name())
		if e.Type() != fs.ModeSymlink && !slices.Contains(private, path) {
			all = append(all, place{path, e.IsDir()}.without(private, listed)...)
		}
	}
	return all
}

// isBelow says whether path lies in the folder dir, which it is not itself. Both are clean.
func isBelow(path, dir string) bool {
	return len(path) > len(dir) && path[:len(dir)] == dir && (path[len(dir)] == '/' || dir == "/")
}
