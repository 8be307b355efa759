// Package inputs reads what a release is made of: the source as a tree of hashes, as far as the build's
// user may read it, the settings with what they import, and all that an installation of the requirements
// reads.
//
// What it promises: whoever writes the source has nothing read, and nothing copied, that the build's user
// may not read; whatever files hold and wherever links lead, reading ends, and is bounded.
package inputs
