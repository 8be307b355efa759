// Package front is an HTTP server that passes requests on to builds.
//
// It takes the place of Nginx on machines that have none: it picks the build with the longest
// location that the path begins with, removes the location from the path and passes the request to
// the build's unix socket. [Nginx] prints the same routes for machines that do have Nginx.
//
// What it promises:
//
//   - A location matches whole path segments: /api matches /api and /api/x, never /apix. "/"
//     matches everything. What is left of the path is passed as the client wrote it, escapes and
//     query included; nothing left is "/". A route that keeps its location gets the whole path.
//   - A build gets a request when all of it has arrived, so that a client that sends slowly occupies
//     no worker. The body is kept in memory, and beyond 64 KiB in a file without a name; the limits
//     are [MaxBody] and [MaxBodies]. One of unknown length reaches the build with its length.
//   - A response goes out piece by piece as the build writes it. It is read ahead of a slow client, up
//     to [MaxAhead], so that this occupies no worker either.
//   - Every request has a connection of its own to the build. A kept-alive connection would break
//     when generations are exchanged.
//   - GET, HEAD, OPTIONS and TRACE, and PUT and DELETE without a body, are tried once more when the
//     connection breaks before the answer began. POST and PATCH must not be sent twice, so these end
//     in 502 when the build dies with them in its hands, and so does what has a body. Any method is
//     tried again when no connection was made at all.
//   - A build that does not serve is 503 with Retry-After, at once when there is no socket or
//     nobody listens on it, after a second when its queue stays full.
//   - No limit on how long a build takes to answer: gunicorn's timeout rules. Clients have limits:
//     [HeaderTimeout], [IdleTimeout], [StallTimeout], and connections are bounded ([Server.Limit]):
//     to make room, one that waits for its client is closed; a client for whom there is no room
//     gets 503.
//   - A request that could be understood in two ways is refused, or is the last of its connection.
//   - Headers by which a build would decide for the whole origin, which it shares with the others, are
//     not passed on: Service-Worker-Allowed, Clear-Site-Data, Alt-Svc, NEL.
//   - Routes change under load without a request lost.
//
// Headers are those of Debian's /etc/nginx/proxy_params and two more. Host is kept. X-Forwarded-For
// is what the client sent with its address appended, so only its last element can be trusted, or of
// one from [Front.Trust] those after the client's, which is X-Real-IP then.
// X-Forwarded-Proto, X-Forwarded-Host, X-Forwarded-Prefix (the location that was removed) and
// X-Real-IP are set, whatever the client sent; its other X-Forwarded-* and its Forwarded are
// dropped. So are, as Nginx does it, hop-by-hop headers and header names with an underscore: WSGI
// cannot tell X_Real_IP from X-Real-IP.
//
// A [Server] is the part of it that deals with clients; the dashboard has one too.
package front
