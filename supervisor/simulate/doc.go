// Package simulate is a made-up machine for a supervisor to live on, for tests only: the real
// Supervisor with its real actors, on processes, sockets, a disk and people that are not real.
//
// A history is an hour of virtual time (testing/synctest). It begins with a seed, which decides what
// the machine is like, which builds there are, and what is done to them (plan.go): crashes, hangs,
// edits, commands, deleted sockets and folders, disks that are full or hang, clocks that are set,
// upgrades, the supervisor's own death at any effect. After three quarters of it nothing more is done;
// at the end everything must be as the file says, and after a stop nothing may be left. All along
// promises are held (model.go, rest.go): who has connected is answered, the public name is there, one
// tree serves it, a command ends with a truthful result, a crash is answered at once, work is bounded,
// strangers are left alone, and more.
//
// # The parts
//
// [World] is the machine, with one lock; what waits, waits outside of it, in virtual time. A site is a
// build's place on it. Processes form trees (process.go, boot.go), sockets have queues and clients
// (socket.go, client.go), schedules have runs (schedules.go), the disk has records (disk.go), and
// people are editors (editor.go), operators (operator.go), whoever deletes folders (deletion.go) or
// sets the clock (clock.go), and whoever does the rest (faults.go). Each step of a build is held
// against the machine's invariants (invariants.go). An incarnation is one supervisor from its start to
// its end; its methods are the ports of supervisor.World (machine.go, trees.go, listener.go,
// release.go, host.go). One that is killed becomes a ghost, see there.
//
// # One seed, one story
//
// All dice depend on the seed, on what they are thrown for and how often that was done before
// (dice.go); there is no stream that goroutines share. Latencies are spread to the nanosecond, so
// that hardly anything happens at the same instant as something else: Go fires timers of the same
// instant in a random order. What a supervisor does at once for several trees (probes, looks at a
// queue) gets a nanosecond of its own for each. So histories are lived in programs with a single
// processor for Go, where goroutines run in the same order each time. What remains is Go's own: a
// select with several cases that are ready, and a goroutine that is preempted now and then, most of
// all on a busy machine (TestSameSeedSameStory counts the histories that differ when they are lived
// again: hardly any).
//
// # What it does not show
//
// Power cuts stand for long pauses. The embedded front, the dashboard, logs and cgroups are not
// made up. Files are read whole or not at all. The rooms behind the ports in the program (process,
// listener, build, state) have tests of their own, and so has the machine.
//
// # Again
//
//	make simulate N=10000 SEED=1	# ten thousand histories, from this seed on
//	make simulate N=1 SEED=66 TELL=1	# one history, told whole
//
// A failing one is shrunk to what it takes and told with its seed. Faults planted in the ports show
// that the promises bite (planted_test.go).
package simulate
