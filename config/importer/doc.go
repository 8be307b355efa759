// Package importer writes a builds.toml from what ran a Django project before: systemd units, a build
// script, Supervisor's ini files, gunicorn's settings, a Procfile, a crontab.
//
// It changes nothing, and starts nothing. What has no key stands as a comment with the reason. An entry
// that the check refuses on this machine, or that would not do what ran before, is printed as a
// comment, with what to do about it above. No value that may be a secret is printed.
package importer
