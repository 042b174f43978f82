"""A certificate for localhost from a certificate authority made for this run."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_LEAF = """subjectAltName=DNS:localhost,IP:127.0.0.1
basicConstraints=CA:FALSE
keyUsage=digitalSignature
extendedKeyUsage=serverAuth
"""
_NEW_KEY = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


class Certificate:
    """The files: `chain` and `key` for the server, `authority` for those who are to trust it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        self.authority = folder / "ca.pem"
        self.chain = folder / "leaf.pem"
        self.key = folder / "leaf.key"
        self._folder = folder
        self._make_authority()
        self._make_leaf()
        self.key.chmod(0o600)

    def _make_authority(self) -> None:
        made = ["-x509", "-days", "2", "-subj", "/CN=end-to-end tests", "-keyout", "ca.key", "-out", "ca.pem"]
        use = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"]
        self._openssl(*_NEW_KEY, *made, *use)

    def _make_leaf(self) -> None:
        (self._folder / "leaf.ext").write_text(_LEAF)
        self._openssl(*_NEW_KEY, "-subj", "/CN=localhost", "-keyout", "leaf.key", "-out", "leaf.csr")
        signer = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "leaf.ext"]
        self._openssl("x509", "-req", "-in", "leaf.csr", *signer, "-out", "leaf.pem")

    def _openssl(self, *words: str) -> None:
        done = subprocess.run(["openssl", *words], cwd=self._folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
