"""Keeps what is said to the machine's syslog where nobody else does: Cyrus complains only there."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Self

_SOCKET = Path("/dev/log")


class SyslogFile:
    """Listens on /dev/log as long as it is entered; does nothing where a syslog daemon already listens."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if _SOCKET.exists():
            self.file.write_text("(this machine has a syslog of its own: look there)\n")
            return self
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(_SOCKET))
        _SOCKET.chmod(0o666)
        self._thread = threading.Thread(target=self._copy, args=(self._socket,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._socket is None or self._thread is None:
            return
        _SOCKET.unlink(missing_ok=True)
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _copy(self, source: socket.socket) -> None:
        with self.file.open("ab", buffering=0) as file:
            while message := source.recv(65536):
                file.write(message.rstrip(b"\0\n") + b"\n")
