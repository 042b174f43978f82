"""What the exit codes mean, for `--help`; those above 64 are sysexits(3)'s. Pure."""

from __future__ import annotations

EXIT_CODES = {
    0: "all is well",
    1: "something unforeseen; doctor: there is an error",
    2: "the command line is wrong",
    3: "service status: the service does not run",
    69: "server, identity provider or service manager cannot be used",
    70: "a worker could not be started",
    74: "a file of the state folder cannot be used",
    75: "not now; try again later",
    77: "a sign-in is needed, or did not succeed",
    78: "the configuration is wrong",
    130: "interrupted",
}


def told() -> str:
    """The codes as an epilog that click leaves in its lines."""
    return "\b\nExit codes:\n" + "\n".join(f"  {code:<5}{meaning}" for code, meaning in EXIT_CODES.items())
