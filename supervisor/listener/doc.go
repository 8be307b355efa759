// Package listener makes and keeps the unix sockets on which the builds are served.
//
// # What it promises
//
// A name is never absent and never leads to a socket that does not listen yet: a socket is bound
// next to its name, gets its owner and mode, listens, and only then gets the name, by rename(2) or
// link(2). A socket stays open until Close, whatever the garbage collector thinks, and Close never
// takes the name away.
//
// # Names
//
// Every socket has two hard links: its name (Path) and a spare next to it, `.gunicorn.sock.12345`,
// after the number of the socket's inode. connect(2) finds a socket by the inode of the file
// (net/unix/af_unix.c, unix_find_socket_byinode), so either link leads to it, and a name that
// somebody removed or replaced is put back from the spare without a new socket (Restore). What a
// killed supervisor leaves behind, Tidy removes. A spare is the name that was bound, so it is what
// getsockname(2) and /proc/net/unix show; a server that removes the name it listens on when it ends
// (asyncio's create_unix_server from Python 3.13) removes the spare, which Restore makes again, and
// not the public name.
//
// # Who had it before
//
// A socket outlives the supervisor that made it as long as a child holds it. Recover takes it back
// from there; Inherit and Inherited keep it over an exec of this program. Both find its file and
// its names again, by the spare and by what the kernel says of the socket (sock_diag(7)).
//
// # Blocking mode
//
// O_NONBLOCK belongs to the open file description, which we share with every child. A socket is
// handed over in blocking mode, as systemd does by default (systemd.service(5), Sockets;
// systemd.exec(5), NonBlocking=), so that a plain server that takes LISTEN_FDS and calls accept(2)
// works; gunicorn, asyncio, libuv and Go set what they want themselves. From then on the mode is
// the children's: nothing here reads or changes it, because putting it back would race with a child
// that sets it at the same moment. Waiting is done by an epoll instance of our own. Where another
// process takes the client between our poll(2) and our accept(2), a blocking accept is bounded by
// SO_RCVTIMEO (socket(7)), one tick of the kernel's clock, set just before it and taken away just
// after. A child that enters a blocking accept on the emptied queue in that instant gets EAGAIN
// after the same tick; children with non-blocking sockets cannot notice.
package listener
