"""Errors on the way to tokens: finding the server and its provider, and signing in."""

from __future__ import annotations

from jmap_proxy.errors.base import JmapProxyError


class ProviderError(JmapProxyError):
    """The identity provider cannot be reached or publishes metadata that cannot be trusted."""

    code = "provider"
    title = "The identity provider cannot be used"
    status = 503
    exit_code = 69


class AnswerLost(ProviderError):
    """The provider may have acted on a request, but its answer did not come whole."""

    code = "answer-lost"
    title = "The identity provider's answer was lost"


class DiscoveryError(JmapProxyError):
    """What a sign-in needs to know of the server was not found, or what was found cannot be used."""

    code = "discovery"
    title = "The server or its identity provider was not found"
    exit_code = 69


class ServerUnreachable(DiscoveryError):
    """No name, no connection, no TLS, no answer in time."""

    code = "server-unreachable"
    title = "The server cannot be reached"


class SignInError(JmapProxyError):
    """A sign-in did not succeed; nothing was saved."""

    code = "sign-in-failed"
    title = "The sign-in did not succeed"
    exit_code = 77


class WrongPerson(SignInError):
    """Somebody else signed in than was named; nothing was saved."""

    code = "wrong-person"
    title = "Somebody else signed in"
