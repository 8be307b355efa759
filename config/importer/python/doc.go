// Package python reads settings that are written in Python, as far as they are plain: logical lines, and
// expressions of numbers, texts and environment variables. It runs nothing.
package python
