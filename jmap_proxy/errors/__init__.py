"""The one tree of errors: each has a code, an HTTP status, an exit code and a hint that names the mend.

    JmapProxyError
    ├── ConfigError                 the configuration file is wrong
    │   └── AddressTaken            somebody else listens there now
    ├── StoreError                  a file of the state folder cannot be used
    ├── ServiceError                the platform does not start the proxy by itself
    ├── WorkerError                 a process that serves has ended, or does not answer
    ├── ProviderError               the identity provider's metadata or keys cannot be used
    │   └── AnswerLost              it may have acted, but its answer did not come whole
    ├── DiscoveryError              what a sign-in needs to know of the server was not found; nothing was saved
    │   └── ServerUnreachable       nothing that can be used answers there
    ├── SignInError                 a sign-in did not succeed; nothing was saved
    │   └── WrongPerson             somebody else signed in than was named
    ├── TokenError                  there is no token to forward the request with
    │   ├── SignInNeeded            only the user can mend it
    │   ├── ClientRefused           the provider does not accept the client; carries Retry-After
    │   └── TokenDelayed            it mends itself; carries Retry-After
    ├── Refused                     the client may not come in, or asked for what there is not
    │   ├── HostRefused, OriginRefused, KeyRefused, PeerRefused
    │   ├── RequestMalformed, ExpectationRefused, CodingRefused, VersionRefused
    │   ├── HeadTimeout, TooManyConnections
    │   ├── BadPath, NotAnEndpoint, MethodRefused
    │   ├── UpgradeNeeded, HandshakeMalformed
    │   └── BodyTooLarge, BodyTimeout
    └── UpstreamError               the JMAP server
        ├── UpstreamUnreachable     no connection, or the connection broke
        ├── UpstreamBusy            it cannot answer just now; carries Retry-After
        ├── UpstreamSlow            no answer in time, and nothing is done; carries Retry-After
        ├── UpstreamSilent          no answer at all, and what it has done is not known
        ├── UpstreamRefusedToken    it refuses even a fresh token
        ├── UpstreamOriginRefused   it names an origin that may not get the token
        └── UpstreamMalformed       its answer is not what RFC 8620 asks for
            └── UpstreamSessionRefused  it answers the request for its Session with an error

Foreign exceptions are translated into these once, where the foreign library is called. No message, hint or
attribute ever holds a token, a key, a code or a secret.
"""

from jmap_proxy.errors.base import JmapProxyError, unforeseen
from jmap_proxy.errors.local import AddressTaken, ConfigError, ServiceError, StoreError, WorkerError
from jmap_proxy.errors.refused import (
    BadPath,
    BodyTimeout,
    BodyTooLarge,
    CodingRefused,
    ExpectationRefused,
    HandshakeMalformed,
    HeadTimeout,
    HostRefused,
    KeyRefused,
    MethodRefused,
    NotAnEndpoint,
    OriginRefused,
    PeerRefused,
    Refused,
    RequestMalformed,
    TooManyConnections,
    UpgradeNeeded,
    VersionRefused,
)
from jmap_proxy.errors.signing_in import (
    AnswerLost,
    DiscoveryError,
    ProviderError,
    ServerUnreachable,
    SignInError,
    WrongPerson,
)
from jmap_proxy.errors.token import ClientRefused, SignInNeeded, TokenDelayed, TokenError
from jmap_proxy.errors.upstream import (
    UpstreamBusy,
    UpstreamError,
    UpstreamMalformed,
    UpstreamOriginRefused,
    UpstreamRefusedToken,
    UpstreamSessionRefused,
    UpstreamSilent,
    UpstreamSlow,
    UpstreamUnreachable,
)

__all__ = [
    "AddressTaken",
    "AnswerLost",
    "BadPath",
    "BodyTimeout",
    "BodyTooLarge",
    "ClientRefused",
    "CodingRefused",
    "ConfigError",
    "DiscoveryError",
    "ExpectationRefused",
    "HandshakeMalformed",
    "HeadTimeout",
    "HostRefused",
    "JmapProxyError",
    "KeyRefused",
    "MethodRefused",
    "NotAnEndpoint",
    "OriginRefused",
    "PeerRefused",
    "ProviderError",
    "Refused",
    "RequestMalformed",
    "ServerUnreachable",
    "ServiceError",
    "SignInError",
    "SignInNeeded",
    "StoreError",
    "TokenDelayed",
    "TokenError",
    "TooManyConnections",
    "UpgradeNeeded",
    "UpstreamBusy",
    "UpstreamError",
    "UpstreamMalformed",
    "UpstreamOriginRefused",
    "UpstreamRefusedToken",
    "UpstreamSessionRefused",
    "UpstreamSilent",
    "UpstreamSlow",
    "UpstreamUnreachable",
    "VersionRefused",
    "WorkerError",
    "WrongPerson",
    "unforeseen",
]
