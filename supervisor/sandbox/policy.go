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
	// Log may be written, which is all. It may be a file that is open, /proc/self/fd/N.
	Log string
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
	c := kernel.config(p)
	r := rules{handled: c.HandledAccessFS}
	for _, path := range devices {
		r.add(device, place{path: path})
	}
	r.add(write, place{"/dev/shm", true})
	r.add(write, found(p.Write)...)
	readable := found(p.Read)
	private := p.private(readable)
	for _, dir := range system {
		r.add(read, place{dir, true}.without(private)...)
	}
	for _, dir := range merged {
		if info, err := os.Lstat(dir); err == nil && info.IsDir() {
			r.add(read, place{dir, true})
		}
	}
	for _, at := range append(found(nameservers), readable...) {
		r.add(read, at.without(private)...)
	}
	all := r.all
	if p.Log != "" {
		all = append(all, landlock.PathAccess(access.AccessFSWriteFile, p.Log))
	}
	if c.HandledAccessNet&access.AccessNetConnectTCP != 0 {
		for _, port := range *p.Connect {
			all = append(all, landlock.ConnectTCP(port))
		}
	}
	if c.HandledAccessNet&access.AccessNetBindTCP != 0 {
		for _, port := range *p.Bind {
			all = append(all, landlock.BindTCP(port))
		}
	}
	fd, _, err := c.NewRulesetFD(all...)
	if err != nil {
		return nil, fmt.Errorf("make a Landlock ruleset: %w", err)
	}
	if fd < 0 {
		return nil, errors.New("make a Landlock ruleset: there is nothing to confine")
	}
	return os.NewFile(uintptr(fd), "landlock ruleset"), nil
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

// rules collects the rules of files.
type rules struct {
	handled landlock.AccessFSSet
	all     []landlock.Rule
}

// add gives rights to places, as far as they are there.
func (r *rules) add(rights landlock.AccessFSSet, places ...place) {
	for _, at := range places {
		granted := rights & r.handled
		if !at.dir {
			granted &= writeFile | access.AccessFSIoctlDev
		}
		r.all = append(r.all, landlock.PathAccess(granted, at.path).IgnoreIfMissing())
	}
}

// without returns the place, or what is in it but for what is private. Links in a folder that is not
// given as a whole are left out: what they lead to has a rule of its own, or is not to be reached.
func (at place) without(private []string) []place {
	if !at.dir || !slices.ContainsFunc(private, func(p string) bool { return isBelow(p, at.path) }) {
		return []place{at}
	}
	entries, err := os.ReadDir(at.path)
	if err != nil {
		return nil // it is not there, or nobody else can read it either
	}
	var all []place
	for _, e := range entries {
		path := filepath.Join(at.path, e.Name())
		if e.Type() != fs.ModeSymlink && !slices.Contains(private, path) {
			all = append(all, place{path, e.IsDir()}.without(private)...)
		}
	}
	return all
}

// isBelow says whether path lies in the folder dir, which it is not itself. Both are clean.
func isBelow(path, dir string) bool {
	return len(path) > len(dir) && path[:len(dir)] == dir && (path[len(dir)] == '/' || dir == "/")
}
