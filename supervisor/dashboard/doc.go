// Package dashboard is the page that shows an operator's builds in a browser, with the part of the
// API that it needs. It is plain HTML, CSS and JavaScript, embedded; what it loads comes from the
// same place, so it works without a network.
//
// It is served at an address of its own: on an origin that it shared with applications, these could
// act in its name. Who can reach it sees states and events. Who has the token to read also sees logs
// and output. Who has the token to write may also start, stop, restart, rebuild and roll back builds,
// and nothing else of the API.
//
// Scripts send a token as Authorization: Bearer. A browser exchanges it for a session, which is
// derived from the token and ends with it: a cookie that scripts cannot read, and a key that the page
// keeps. Both are needed. Browsers send a cookie to every port of a host, and so to the applications
// too; the key they send nowhere by themselves.
package dashboard
