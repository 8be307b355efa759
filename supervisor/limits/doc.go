// Package limits bounds what processes use, by cgroups: memory, processors and tasks
// (cgroups(7)).
//
// Each of the three has a controller of the kernel, and each controller is either in cgroup v2, where
// it has to be delegated to us, or in a hierarchy of v1. A [Room] is where cgroups with limits are made:
// in v2 they are the cgroups that trees of processes have anyway, in v1 they are folders of their own,
// one for each controller. A [Group] is the limits of one tree.
//
// Several trees may be in a pool ([Room.Bound]): each has limits of its own, and all of them have the
// pool's together.
//
// A limit that cannot be had is an error that names what is missing, never silence.
package limits
