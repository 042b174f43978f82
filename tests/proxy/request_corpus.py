"""Malformed and ambiguous requests, byte for byte, and what each must come to.

`@@` stands for the local prefix of the server's origin. Unless an entry is about them, Host and the local key are good,
so that nothing but the named fault keeps a request from going upstream.
"""

from dataclasses import dataclass, field

HOST = b"Host: localhost\r\n"
KEY = b"Authorization: Bearer the-local-key\r\n"
GOOD = HOST + KEY
SECOND = (
    b"POST /@@/api/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer the-local-key\r\nContent-Length: 1\r\n\r\n2"
)
"""A request glued to the one before it, which must not be taken for one where that one's end is not clear."""

OK = 200
BAD = 400
KEPT = 404
"""What a request gets that is well-formed and for no endpoint."""


@dataclass(frozen=True)
class Entry:
    """A connection's bytes.

    Attributes:
        name: What is wrong with them.
        sent: The bytes.
        statuses: Of the answers, in order; () for a connection that is closed without any.
        upstream: Bodies of the requests that reach the server.
        absent: What must not be in the head of any request that reaches the server, lower case.
        present: What must be in the head of each.
        whole: Whether they are sent in one piece only: they are too many, or what comes of them depends on it.
    """

    name: str
    sent: bytes = field(repr=False)
    statuses: tuple[int, ...] = (BAD,)
    upstream: tuple[bytes, ...] = ()
    absent: tuple[bytes, ...] = ()
    present: tuple[bytes, ...] = ()
    whole: bool = False


def _get(path: bytes = b"/nowhere", fields: bytes = GOOD, version: bytes = b"HTTP/1.1") -> bytes:
    return b"GET " + path + b" " + version + b"\r\n" + fields + b"\r\n"


def _post(fields: bytes, body: bytes = b"", *, version: bytes = b"HTTP/1.1") -> bytes:
    return b"POST /@@/api/ " + version + b"\r\n" + GOOD + fields + b"\r\n" + body


def _chunked(chunks: bytes) -> bytes:
    return _post(b"Transfer-Encoding: chunked\r\n", chunks)


LINE = [
    Entry("absolute form of our own", _get(b"http://localhost/.well-known/jmap")),
    Entry("absolute form of another host", _get(b"http://evil.example/.well-known/jmap")),
    Entry("absolute form with a password", _get(b"http://u:pw@localhost/@@/api/")),
    Entry("absolute form of another scheme", _get(b"ftp://localhost/@@/api/")),
    Entry("CONNECT", b"CONNECT mail.example:443 HTTP/1.1\r\n" + GOOD + b"\r\n" + SECOND),
    Entry("CONNECT without a port", b"CONNECT mail.example HTTP/1.1\r\n" + GOOD + b"\r\n"),
    Entry("CONNECT to a path", b"CONNECT /@@/api/ HTTP/1.1\r\n" + GOOD + b"\r\n" + SECOND),
    Entry("OPTIONS *", b"OPTIONS * HTTP/1.1\r\n" + GOOD + b"\r\n"),
    Entry("GET *", _get(b"*")),
    Entry("TRACE", b"TRACE /@@/api/ HTTP/1.1\r\n" + GOOD + b"\r\n", (405,)),
    Entry("unknown method", b"BREW /@@/api/ HTTP/1.1\r\n" + GOOD + b"\r\n"),
    Entry("method of WebDAV", b"PROPFIND /@@/api/ HTTP/1.1\r\n" + GOOD + b"\r\n", (405,)),
    Entry("method in lower case", b"post /@@/api/ HTTP/1.1\r\n" + GOOD + b"Content-Length: 1\r\n\r\n1"),
    Entry("HTTP/0.9", b"GET /@@/api/\r\n\r\n", (505,)),
    Entry("HTTP/0.9 with a head", _get(version=b"HTTP/0.9"), (505,)),
    Entry("HTTP/1.2", _get(version=b"HTTP/1.2")),
    Entry("HTTP/2.0", _get(version=b"HTTP/2.0"), (505,)),
    Entry("HTTP/3.0", _get(version=b"HTTP/3.0")),
    Entry("HTTP/11", _get(version=b"HTTP/11")),
    Entry("HTTP/1.1.1", _get(version=b"HTTP/1.1.1")),
    Entry("http in lower case", _get(version=b"http/1.1")),
    Entry("ICE/1.0", _get(version=b"ICE/1.0")),
    Entry("preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"),
    Entry("TLS ClientHello", b"\x16\x03\x01\x00\xf4\x01\x00\x00\xf0\x03\x03" + b"\0" * 32),
    Entry("only NULs", b"\0" * 64),
    Entry("a tab in the request line", b"GET\t/@@/api/ HTTP/1.1\r\n" + GOOD + b"\r\n"),
    Entry("several spaces are as one", b"GET  /@@/api/ HTTP/1.1\r\n" + GOOD + b"\r\n", (405,)),
    Entry("spaces before the version are as one", b"GET /@@/api/  HTTP/1.1\r\n" + GOOD + b"\r\n", (405,)),
    Entry("a space at the line's end", b"GET /@@/api/ HTTP/1.1 \r\n" + GOOD + b"\r\n"),
    Entry("a space in the target", b"GET /@@/api/ x HTTP/1.1\r\n" + GOOD + b"\r\n"),
    Entry("a space before the method", b" GET /@@/api/ HTTP/1.1\r\n" + GOOD + b"\r\n"),
    Entry("garbage before the method", b"\xff\xfeGET /@@/api/ HTTP/1.1\r\n" + GOOD + b"\r\n"),
    Entry("empty lines first", b"\r\n\r\n" + _get(), (KEPT,)),
    Entry("bare line feeds in all lines", b"GET /@@/api/ HTTP/1.1\nHost: localhost\n\n"),
    Entry("a bare line feed after the request line", b"GET /@@/api/ HTTP/1.1\n" + GOOD + b"\r\n"),
    Entry("a bare carriage return after the request line", b"GET /@@/api/ HTTP/1.1\r" + GOOD + b"\r\n"),
    Entry("a very long target", _get(b"/" + b"a" * 40_000), whole=True),
    Entry("an endless method", b"A" * 40_000, whole=True),
]

TARGET = [
    Entry("dot segments", _get(b"/@@/dl/A/../../admin")),
    Entry("encoded dot segments", _get(b"/@@/dl/%2e%2e/x")),
    Entry("half-encoded dot segments", _get(b"/@@/dl/.%2E/x")),
    Entry("dot segments behind an encoded slash", _get(b"/@@/dl/A/..%2fx")),
    Entry("dot segments with parameters", _get(b"/@@/dl/..;/x")),
    Entry("a single dot", _get(b"/@@/./api/")),
    Entry("a backslash", _get(b"/@@/dl/..\\x")),
    Entry("an encoded backslash with dots", _get(b"/@@/dl/..%5cx")),
    Entry("an encoded NUL", _get(b"/@@/dl/A/%00/x")),
    Entry("a NUL", _get(b"/@@/dl/A/\0/x")),
    Entry("a fragment", _get(b"/@@/api/#x")),
    Entry("bytes that no URL has", _get(b"/@@/dl/A/\xe9/x")),
    Entry("UTF-8 in the target", _get("/@@/dl/A/é/x".encode())),
    Entry("a control character", _get(b"/@@/dl/A/\x01/x")),
    Entry("DEL", _get(b"/@@/dl/A/\x7f/x")),
    Entry("no slash first", _get(b"@@/api/")),
    Entry("a host name as path", _get(b"//evil.example/api/"), (404,)),
    Entry(
        "what is not ours to change",
        _get(b"/@@/dl/A%2FB/%2A//x{y}?accept={type}&a=../b%2e%2e"),
        (OK,),
        (b"",),
        present=(b"GET /dl/A%2FB/%2A//x{y}?accept={type}&a=../b%2e%2e HTTP/1.1\r\n",),
    ),
    Entry("two encodings deep stays as it is", _get(b"/@@/dl/A/%252e%252e/x"), (OK,), (b"",)),
]

HOSTS = [
    Entry("no Host", _get(fields=KEY)),
    Entry("two equal Hosts", _get(fields=GOOD + HOST)),
    Entry("two Hosts", _get(fields=GOOD + b"Host: evil.example\r\n")),
    Entry("two Hosts in other spellings", _get(fields=GOOD + b"hOsT: evil.example\r\n")),
    Entry("an empty Host", _get(fields=KEY + b"Host:\r\n"), (421,)),
    Entry("Host with user information", _get(fields=KEY + b"Host: u@localhost\r\n"), (421,)),
    Entry("a list of Hosts", _get(fields=KEY + b"Host: localhost, localhost\r\n"), (421,)),
    Entry("Host with a path", _get(fields=KEY + b"Host: localhost/x\r\n"), (421,)),
    Entry("Host with a suffix", _get(fields=KEY + b"Host: localhost.evil.example\r\n"), (421,)),
    Entry("Host with a port of letters", _get(fields=KEY + b"Host: localhost:http\r\n"), (421,)),
    Entry("Host with port 0", _get(fields=KEY + b"Host: localhost:0\r\n"), (421,)),
    Entry("Host with port 65536", _get(fields=KEY + b"Host: localhost:65536\r\n"), (421,)),
    Entry("a space before the colon of Host", _get(fields=KEY + b"Host : localhost\r\n")),
    Entry("HTTP/1.0 without Host", _get(fields=KEY, version=b"HTTP/1.0"), (421,)),
    Entry("two local keys", _get(b"/@@/api/", GOOD + KEY), (401,)),
    Entry("two schemes", _get(b"/@@/api/", GOOD + b"Authorization: Basic eDp4\r\n"), (401,)),
]

LENGTH = [
    Entry("two equal lengths", _post(b"Content-Length: 1\r\nContent-Length: 1\r\n", b"1" + SECOND)),
    Entry("two lengths", _post(b"Content-Length: 1\r\nContent-Length: 9\r\n", b"1" + SECOND)),
    Entry("two spellings of Content-Length", _post(b"Content-Length: 1\r\ncontent-length: 9\r\n", b"1" + SECOND)),
    Entry("a list of lengths", _post(b"Content-Length: 1, 1\r\n", b"1" + SECOND)),
    Entry("+1", _post(b"Content-Length: +1\r\n", b"1" + SECOND)),
    Entry("-1", _post(b"Content-Length: -1\r\n", b"1" + SECOND)),
    Entry("0x1", _post(b"Content-Length: 0x1\r\n", b"1" + SECOND)),
    Entry("1e1", _post(b"Content-Length: 1e1\r\n", b"1" + SECOND)),
    Entry("1.0", _post(b"Content-Length: 1.0\r\n", b"1" + SECOND)),
    Entry("digits with an underscore", _post(b"Content-Length: 1_0\r\n", b"1" + SECOND)),
    Entry("digits of another script", _post(b"Content-Length: \xd9\xa1\r\n", b"1" + SECOND)),
    Entry("a length with a space in it", _post(b"Content-Length: 1 0\r\n", b"1" + SECOND)),
    Entry("a length with a NUL", _post(b"Content-Length: 1\0\r\n", b"1" + SECOND)),
    Entry("a length with a vertical tab", _post(b"Content-Length: 1\x0b\r\n", b"1" + SECOND)),
    Entry("an empty length", _post(b"Content-Length:\r\n", b"1" + SECOND)),
    Entry("a length of 2^64", _post(b"Content-Length: 18446744073709551616\r\n", b"1" + SECOND)),
    Entry("a length of 2^63", _post(b"Content-Length: 9223372036854775808\r\n", b"1"), (413,)),
    Entry("zeros first", _post(b"Content-Length: 0001\r\n", b"1" + SECOND), (OK, OK), (b"1", b"2")),
    Entry("spaces around", _post(b"Content-Length: \t 1 \t\r\n", b"1" + SECOND), (OK, OK), (b"1", b"2")),
    Entry("a space before the colon", _post(b"Content-Length : 1\r\n", b"1" + SECOND)),
    Entry("a length and chunks", _post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + SECOND)),
    Entry("chunks and a length", _post(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n" + SECOND)),
    Entry(
        "an underscore twin",
        _post(b"Content-Length: 1\r\nContent_Length: 9\r\n", b"1" + SECOND),
        (OK, OK),
        (b"1", b"2"),
        (b"content_length",),
    ),
]

CODING = [
    Entry("chunked twice", _post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n")),
    Entry("a list of chunked", _post(b"Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n")),
    Entry("identity", _post(b"Transfer-Encoding: identity\r\n", b"0\r\n\r\n" + SECOND)),
    Entry("chunked, identity", _post(b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n" + SECOND)),
    Entry("identity, chunked", _post(b"Transfer-Encoding: identity, chunked\r\n", b"0\r\n\r\n"), (501,)),
    Entry("gzip, chunked", _post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"), (501,)),
    Entry("chunked, gzip", _post(b"Transfer-Encoding: chunked, gzip\r\n", b"0\r\n\r\n")),
    Entry("gzip", _post(b"Transfer-Encoding: gzip\r\n", b"0\r\n\r\n")),
    Entry("xchunked", _post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n" + SECOND)),
    Entry("chunkedx", _post(b"Transfer-Encoding: chunkedx\r\n", b"0\r\n\r\n" + SECOND)),
    Entry("chunked with a vertical tab", _post(b"Transfer-Encoding: chunked\x0b\r\n", b"0\r\n\r\n" + SECOND)),
    Entry("a vertical tab before chunked", _post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n" + SECOND)),
    Entry("chunked in quotes", _post(b'Transfer-Encoding: "chunked"\r\n', b"0\r\n\r\n" + SECOND)),
    Entry("chunked with a parameter", _post(b"Transfer-Encoding: chunked;q=1\r\n", b"0\r\n\r\n" + SECOND)),
    Entry("an empty coding", _post(b"Transfer-Encoding:\r\n", b"0\r\n\r\n" + SECOND)),
    Entry("chunked on a folded line", _post(b"Transfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n")),
    Entry("a space before the colon of the coding", _post(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n")),
    Entry("chunks in HTTP/1.0", _post(b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", version=b"HTTP/1.0")),
    Entry(
        "Chunked with a capital",
        _post(b"Transfer-Encoding: Chunked\r\n", b"1\r\n1\r\n0\r\n\r\n" + SECOND),
        (OK,),
        (b"1",),
    ),
    Entry(
        "an underscore twin of the coding",
        _post(b"Content-Length: 1\r\nTransfer_Encoding: chunked\r\n", b"1" + SECOND),
        (OK, OK),
        (b"1", b"2"),
        (b"transfer_encoding",),
    ),
]

CHUNKS = [
    Entry("0x1", _chunked(b"0x1\r\n1\r\n0\r\n\r\n")),
    Entry("+1", _chunked(b"+1\r\n1\r\n0\r\n\r\n")),
    Entry("-1", _chunked(b"-1\r\n1\r\n0\r\n\r\n")),
    Entry("a space before the size", _chunked(b" 1\r\n1\r\n0\r\n\r\n")),
    Entry("a space behind the size", _chunked(b"1 \r\n1\r\n0\r\n\r\n")),
    Entry("no size", _chunked(b"\r\n1\r\n0\r\n\r\n")),
    Entry("a size that is no number", _chunked(b"g\r\n1\r\n0\r\n\r\n")),
    Entry("a size of 17 digits", _chunked(b"10000000000000000\r\n1\r\n0\r\n\r\n")),
    Entry("no line end behind the data", _chunked(b"1\r\n10\r\n\r\n")),
    Entry("more data than the size", _chunked(b"1\r\n12\r\n0\r\n\r\n")),
    Entry("a bare line feed behind the size", _chunked(b"1\n1\r\n0\r\n\r\n")),
    Entry("a bare line feed behind the data", _chunked(b"1\r\n1\n0\r\n\r\n")),
    Entry("a bare carriage return behind the size", _chunked(b"1\r1\r\n0\r\n\r\n")),
    Entry("an extension with a bare line feed", _chunked(b"1;a\n1\r\n0\r\n\r\n")),
    Entry("an extension with a bare carriage return", _chunked(b"1;a\rb\r\n1\r\n0\r\n\r\n")),
    Entry("an extension with a NUL", _chunked(b"1;a\0\r\n1\r\n0\r\n\r\n")),
    Entry("an extension", _chunked(b'1;a="b;c"\r\n1\r\n0\r\n\r\n'), (OK,), (b"1",)),
    Entry("trailers that repeat fields", _chunked(b"1\r\n1\r\n0\r\nHost: evil\r\nContent-Length: 9\r\n\r\n")),
    Entry(
        "trailers",
        _chunked(b"1\r\n1\r\n0\r\nAuthorization: Bearer evil\r\nX-Evil: 1\r\n\r\n" + SECOND),
        (OK,),
        (b"1",),
        (b"evil",),
    ),
    Entry("a trailer without a colon", _chunked(b"1\r\n1\r\n0\r\nxyz\r\n\r\n")),
    Entry("a request as trailer", _chunked(b"1\r\n1\r\n0\r\n" + SECOND)),
]

FIELDS = [
    Entry("a name with a space", _get(fields=GOOD + b"X Y: 1\r\n")),
    Entry("a name with a tab", _get(fields=GOOD + b"X\t: 1\r\n")),
    Entry("a name with a NUL", _get(fields=GOOD + b"X\0: 1\r\n")),
    Entry("a name with a parenthesis", _get(fields=GOOD + b"X(: 1\r\n")),
    Entry("a name in UTF-8", _get(fields=GOOD + "É: 1\r\n".encode())),
    Entry("an empty name", _get(fields=GOOD + b": 1\r\n")),
    Entry("no colon", _get(fields=GOOD + b"X\r\n")),
    Entry("a space before the first field", _get(fields=b" X: 1\r\n" + GOOD)),
    Entry("a folded line", _get(fields=GOOD + b"X: 1\r\n 2\r\n")),
    Entry("a folded line by a tab", _get(fields=GOOD + b"X: 1\r\n\tAuthorization: Bearer evil\r\n")),
    Entry("a bare line feed", _get(fields=GOOD + b"X: 1\nY: 2\r\n")),
    Entry("a bare carriage return", _get(fields=GOOD + b"X: 1\rY: 2\r\n")),
    Entry("two carriage returns", _get(fields=GOOD + b"X: 1\r\r\n")),
    Entry("a NUL", _get(fields=GOOD + b"X: 1\x002\r\n")),
    Entry("a control character", _get(fields=GOOD + b"X: 1\x012\r\n")),
    Entry("DEL", _get(fields=GOOD + b"X: 1\x7f2\r\n")),
    Entry("ISO 8859-1", _get(fields=GOOD + b"X: caf\xe9\r\n")),
    Entry("UTF-8", _post("X: café\r\nContent-Length: 1\r\n".encode(), b"1"), (OK,), (b"1",)),
    Entry("100 kB of one field", _get(fields=GOOD + b"X: " + b"a" * 100_000 + b"\r\n"), whole=True),
    Entry("a name of 100 kB", _get(fields=GOOD + b"X" * 100_000 + b": 1\r\n"), whole=True),
    Entry("200 fields", _get(fields=GOOD + b"X: 1\r\n" * 200)),
    Entry("100,000 fields", _get(fields=GOOD + b"X: 1\r\n" * 100_000), whole=True),
    Entry("Expect of something else", _post(b"Expect: 200-ok\r\nContent-Length: 1\r\n", b"1"), (417,)),
    Entry("Expect of several things", _post(b"Expect: 100-continue, x\r\nContent-Length: 1\r\n", b"1"), (417,)),
    Entry(
        "Connection names our own fields",
        _post(
            b"Connection: host, authorization, content-length, transfer-encoding\r\nContent-Length: 1\r\n",
            b"1" + SECOND,
        ),
        (OK, OK),
        (b"1", b"2"),
    ),
    Entry(
        "underscore twins",
        _post(b"X_Forwarded_For: evil\r\nHost_: evil\r\nContent-Length: 1\r\n", b"1"),
        (OK,),
        (b"1",),
        (b"evil",),
    ),
    Entry(
        "h2c",
        _post(
            b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nContent-Length: 1\r\n",
            b"1" + SECOND,
        ),
        (OK,),
        (b"1",),
        (b"upgrade", b"http2"),
    ),
    Entry(
        "an upgrade to nonsense", _post(b"Connection: Upgrade\r\nUpgrade: x\0y\r\nContent-Length: 1\r\n", b"1" + SECOND)
    ),
    Entry(
        "a WebSocket on an API call",
        _post(b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n", b"1" + SECOND),
        (OK,),
        (b"1",),
        (b"upgrade",),
    ),
    Entry(
        "a WebSocket with a junk key",
        _get(fields=GOOD + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: \t, junk ,\r\n"),
        (KEPT,),
    ),
    Entry("an old WebSocket", _get(fields=GOOD + b"Sec-WebSocket-Key1: 4\r\n")),
    Entry("HTTP/1.0 that stays", _get(fields=GOOD + b"Connection: keep-alive\r\n", version=b"HTTP/1.0"), (KEPT,)),
]

BODIES = [
    Entry("a body to GET", _get(fields=GOOD + b"Content-Length: 1\r\n") + b"1" + _get(), (KEPT, KEPT)),
    Entry(
        "a request as the body of GET", _get(fields=GOOD + b"Content-Length: %d\r\n" % len(_get())) + _get(), (KEPT,)
    ),
    Entry("no body to POST", _post(b""), (OK,), (b"",)),
    Entry("a request behind a good one", _post(b"Content-Length: 1\r\n", b"1" + SECOND), (OK, OK), (b"1", b"2")),
    Entry(
        "a bad one behind a good one", _post(b"Content-Length: 1\r\n", b"1" + b"G\0T / HTTP/1.1\r\n\r\n"), whole=True
    ),
    Entry("a good one behind a bad one", b"G\0T / HTTP/1.1\r\n\r\n" + SECOND),
    Entry(
        "a body that is announced and refused",
        b"POST /@@/api/ HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 9\r\n\r\n",
        (401,),
    ),
    Entry("a good one behind a refused one", _get(fields=HOST) + SECOND, (401, OK), (b"2",)),
]

CORPUS = {
    f"{group}: {entry.name}": entry
    for group, entries in {
        "request line": LINE,
        "target": TARGET,
        "Host and key": HOSTS,
        "length": LENGTH,
        "transfer coding": CODING,
        "chunks": CHUNKS,
        "fields": FIELDS,
        "bodies": BODIES,
    }.items()
    for entry in entries
}
