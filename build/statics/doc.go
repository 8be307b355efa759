// Package statics keeps the folder from which a web server takes static files, Django's STATIC_ROOT,
// at the files of the release that serves.
//
// What a release needs is prepared while the release is being checked ([Publisher.Stage]) and goes
// live in one step when it takes over ([Publisher.Publish]): two folders exchange their names
// (renameat2(2), RENAME_EXCHANGE). Where they cannot, file by file: new names first, then files that
// changed, each in one step, and what nobody needs any more last. Files of earlier releases stay
// for pages that are still open, until their release is removed. Files that were never put there by
// this package are not touched.
//
// Everything in that folder is done with the rights of the build's user: the settings of a build say
// where it is.
package statics
