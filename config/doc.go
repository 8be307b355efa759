// Package config turns a builds.toml into a validated Config, and says what changed between two of
// them.
package config
