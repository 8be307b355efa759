// Package cron reads cron expressions, and says when they are due in a time zone. It reads no clock.
//
// It has the five fields, lists, ranges, steps, names and nicknames of crontab(5), and its rules for
// daylight saving time, as cron(8) describes them for Vixie's and Debian's cron. The libraries of Go
// have others: robfig/cron leaves out a time that a change of the clocks skips and runs one twice
// that it repeats, and forks of it do the latter. A test holds the fields against robfig's parser.
package cron
