// Package traceback shortens what a Python program printed to what says why it failed.
package traceback
