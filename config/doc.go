// Package config turns a builds.toml into a validated Config, and tells what changed between two of
// them and when the files behind one are touched.
package config
