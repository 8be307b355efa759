package sandbox

// system are the folders that every program may read: the system's own programs, libraries and
// settings. Folders and not files, where they can be: a file that is exchanged for a new one, as
// /etc/hosts by an editor, is not the file of the rule any more.
var system = []string{
	"/usr", "/nix/store", "/gnu/store", "/etc", "/proc", "/sys/devices/system", "/sys/fs/cgroup",
	// names and addresses (systemd-resolved, resolvconf, sssd)
	"/run/systemd/resolve", "/run/resolvconf", "/var/lib/sss/mc", "/var/lib/sss/pubconf",
	"/var/lib/ca-certificates", "/var/cache/fontconfig",
}

// merged are folders that most systems have in /usr, with links in their place.
var merged = []string{"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}

// nameservers may be a link to anywhere (NetworkManager, WSL, containers).
var nameservers = []string{"/etc/resolv.conf"}

// ofRoot is what only root may read in these folders, and what nobody reads in a box who is root.
var ofRoot = []string{
	"/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/security/opasswd", "/etc/sudoers", "/etc/sudoers.d",
	"/etc/ssh", "/etc/ssl/private", "/etc/pki/tls/private", "/etc/letsencrypt", "/etc/mysql/debian.cnf", "/etc/krb5.keytab",
	"/etc/wireguard", "/etc/openvpn", "/etc/NetworkManager", "/etc/netplan", "/etc/credstore", "/etc/credstore.encrypted",
}

// devices may be used by everybody.
var devices = []string{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"}
