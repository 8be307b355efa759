// Package config turns a builds.toml into a validated Config, and tells what changed between two of
// them.
package config
