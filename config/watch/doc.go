// Package watch tells when files are touched.
//
// It knows nothing of what is in them: whoever is told reads them and compares.
package watch
