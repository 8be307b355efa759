// Package dashboard is the page that shows an operator's builds in a browser, with the part of the
// API that it needs. It is plain HTML, CSS and JavaScript, embedded; what it loads comes from the
// same place, so it works without a network.
//
// Who can reach it may look. Who enters the token may start, stop, restart, rebuild and roll back
// builds, and nothing else of the API.
package dashboard
