// Package control is the supervisor's API: HTTP with JSON over a unix socket.
//
//	GET  /v1/status                 a Status
//	GET  /v1/events                 server-sent events, an Event each; ?follow=0 ends after those past
//	GET  /v1/logs/NAME              text, the last lines of a build's output; ?lines=N
//	POST /v1/reload                 {"changes": [...]}; ?dry_run=1 only tells
//	POST /v1/builds/NAME/ACTION     a JSON object a line: {"progress": "..."} any number of times,
//	                                then {"result": "done"} or {"error": "..."}
//
// ACTION is start, stop, restart, rebuild, rollback or deploy, whose result comes with a Deployed; its
// arguments are in the query and are interpreted by the backend. An error is {"error": "..."} with a
// status that says where the fault lies: 400, 404 and 405 in the request, 403 not allowed, 413 too
// large, 422 understood but impossible. An action that fails after it made progress is a 200 whose last
// line is the error.
//
// The socket's mode lets only root, the supervisor's own user and the members of control_group
// connect. Each request is held against the same, by what the kernel recorded of the client
// (SO_PEERCRED, unix(7)), should the modes ever be loosened: the group may read, the others may
// write as well. Who did so stands in the events that follow (Who).
//
// The server never waits for a client: a follower of events that falls behind is told so and
// disconnected.
package control
