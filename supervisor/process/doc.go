// Package process runs children and ends them with everything they started.
//
// # What it promises
//
//   - A child starts with exactly what its Spec says: argv, environment, folder,
//     user, umask, file descriptors 0 to 4, default signal dispositions, an empty
//     signal mask and the limit of open files that we were started with ourselves.
//     The same holds for one-off commands, which have a Task in place of a Mark and
//     are waited for by Child.Wait.
//   - LISTEN_PID is the child's own pid, written between fork and exec, because
//     servers that take LISTEN_FDS ignore a listener meant for another pid
//     (sd_listen_fds(3)).
//   - Every exit is reported once. Children are waited for one by one, by pidfd:
//     os/exec may be used next to this package in the same program.
//   - No signal goes to a recycled pid. Identity is pid and start time; signals
//     go by pidfd, those for a whole process group too where the kernel can
//     (6.9).
//   - End returns when the whole tree is gone: the process group, the session,
//     their descendants, every process that carries the child's Mark in its environment,
//     which is how a daemon that called setsid(2) is found, or the child's cookie in its limits,
//     which one that emptied its environment still has, and every process in the
//     child's cgroup, where it has one (UseCgroups).
//   - A mark and a cookie are claims. They count where the process is run by the user whom the
//     child was started as, or has become our own child: nobody else can have a process of theirs
//     adopted, signalled or waited for.
//   - A child costs no thread and nothing while it runs: one epoll of pidfds,
//     nested in Go's own poller, watches all of them.
//   - The children outlive us. Adopt takes over what an earlier supervisor started, or this
//     one before it executed another program in its place (Freeze, Exec), and watches and
//     ends it as if it had started it. Remains reaches what a child left behind that ended
//     while nobody watched.
//
// # What it does not promise
//
// Without cgroups, a process that left the group, lost its parent, wiped the mark from its
// environment and changed its limit of file locks is not found. (Python's setproctitle overwrites a
// process's environment as /proc shows it, unless SPT_NOENV is set.) Nor is one that wiped the mark,
// changed its user and outlived the supervisor that started it.
//
// Where we are a subreaper or pid 1, a dead child that nobody has waited for after 5 seconds is
// taken for an orphan and reaped. So code that starts a process by os/exec must have a Wait
// running.
//
// Children are left running when the Table is closed or its process dies, on purpose: their output
// goes to files and nothing of theirs ends with us.
//
// # How a child is started
//
// On amd64 and arm64 the table forks as syscall.ForkExec does (vfork) and makes a few more system
// calls before the exec, see clone.go. Elsewhere it starts an exec step: this very program with the
// argument "exec-step", which sets things up and then becomes the child, see execstep.go. The
// result is the same; the exec step costs another start of a Go program, 1 to 2 ms of CPU.
//
// # Kernels
//
// It needs Linux 5.4 (waitid(2) with P_PIDFD) and /proc. Later ones add: 5.7, that a child begins
// in its cgroup, which it enters by itself before; 5.11, that no descriptor which someone forgot to
// mark reaches a child (close_range(2)); 6.9, that a group is signalled by pidfd, where before the
// process table must be read once its leader is dead for a second; 6.15, that how an adopted child
// ended is known where its parent waits for it soon.
package process
