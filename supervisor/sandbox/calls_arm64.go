package sandbox

import "golang.org/x/sys/unix"

const (
	supported  = true
	native     = unix.AUDIT_ARCH_AARCH64
	foreignBit = 0
)

// deniedHere are calls that only this architecture has.
var deniedHere []uint32
