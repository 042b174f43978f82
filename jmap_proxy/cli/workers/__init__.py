"""`serve --workers N`: a supervisor and N processes that serve. Without it there is one process, and nothing of this.

The supervisor binds every listener (or has them from the service manager), and hands the sockets down (`bound`). On
Linux each worker gets one of its own for each address (SO_REUSEPORT): of a socket that all share, whoever wakes up
first takes all connections that come together. The supervisor keeps them open, too: what waits at the socket of a
worker that has died is served by the one that replaces it. If that takes long, the socket is closed, and the kernel
gives its share to the others. macOS does not spread connections in that way: there, as with the Unix socket and a
service manager's sockets, all share one.

A worker is a new process of the program (`python -m jmap_proxy.cli.workers`) and no fork: the supervisor has an event
loop, threads and TLS behind it, which no fork survives whole.

What both say to each other goes over a pair of Unix sockets, which nobody else can reach (`channel`, `messages`). It
holds no secret: tokens and keys are read by each worker from the store. When the supervisor dies, however it dies, the
kernel closes its end, and the workers let their requests finish and end.

A configuration is taken up in two steps: all prepare it, the supervisor first, and only when all can, all exchange it;
if one cannot, nothing changes anywhere. To start is no more than to take up the first one. Which addresses have changed
is no special case: the sockets are sent along each time, and a worker takes those that it does not have.

The supervisor has the accounts' parts as well, and serves nobody: it tries each configuration, watches the store, keeps
idle accounts signed in, and answers on the admin listener with what all have counted (`combined`). Workers tell what
they have counted since the last time, so that it stays counted when one of them dies. The store's lock file makes one
refresh a generation of it all, whoever needs the token first; the others take up what it has stored.

A worker that ends is replaced (`restarts` says when), and so is one that does not answer any more.
"""
