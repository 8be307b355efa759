// Package custody finds who, besides those who may, could change what lies at a path: the file itself,
// or any folder or link on the way to it.
//
// Whoever may write a file that a supervisor of root's goes by, or a folder above it, can become root.
// OpenSSH refuses a user's keys for the same reason (sshd_config(5), StrictModes).
//
//   - Those who may are root, the user that looks, and those that a [Custody] names.
//   - In a folder with the sticky bit, such as /tmp, only an entry's owner can replace it: so it is
//     the entry's owner that counts, and not who may write in the folder.
//   - A group of the system's, such as syslog, which may write /var/log on Ubuntu, is only worth a
//     warning, unless it is one that strangers are in.
//   - What is mounted read-only is safe whatever its modes say (a ConfigMap is 0777), and so is the
//     owner that stands for all who are not in the user namespace (user_namespaces(7)).
package custody
