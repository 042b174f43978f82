"""The JMAP server."""

from __future__ import annotations

import imaplib
import os
import secrets
import shutil
import signal
import subprocess
import time
from itertools import count
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Self

from tests.e2e.fetch import status_of
from tests.e2e.layout import free_ports, installed
from tests.e2e.mail import message
from tests.e2e.program import Program, tail
from tests.e2e.syslog_file import SyslogFile

if TYPE_CHECKING:
    from collections.abc import Iterable

_BIN = "/usr/lib/cyrus/bin"
_IMAPD_CONF = Template("""\
configdirectory: $home/conf
defaultpartition: default
partition-default: $home/spool
idlesocket: $home/idle
lmtpsocket: $home/lmtp
notifysocket: $home/notify
servername: localhost
syslog_prefix: e2e
unixhierarchysep: yes
altnamespace: yes
conversations: yes
conversations_db: twoskip
search_engine: none

# passwords for IMAP only, to put mail there; over HTTP nothing but a bearer token opens the door
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: $home/sasldb2
sasl_mech_list: PLAIN
allowplaintext: no
imap_allowplaintext: yes

autocreate_quota: 0
autocreate_inbox_folders: Archive | Drafts | Sent | Trash
xlist-archive: Archive
xlist-drafts: Drafts
xlist-sent: Sent
xlist-trash: Trash

httpmodules: jmap
jmap_pushpoll: 1s
http_jwt_key_dir: $home/keys
http_jwt_max_age: ${token_life}s
""")
_CYRUS_CONF = Template("""\
START {
  recover cmd="$bin/ctl_cyrusdb -C $home/imapd.conf -r"
}
SERVICES {
  imap cmd="$bin/imapd -C $home/imapd.conf" listen="127.0.0.1:$imap_port" proto="tcp4" prefork=0 maxchild=10
  http cmd="$home/httpd -C $home/imapd.conf" listen="127.0.0.1:$http_port" proto="tcp4" prefork=2 maxchild=100
}
EVENTS {
  checkpoint cmd="$bin/ctl_cyrusdb -C $home/imapd.conf -c" period=30
}
""")


class Cyrus:
    """Debian's Cyrus, with an httpd that has an event source and WebSockets, and one user.

    JMAP for bearer tokens, IMAP for the harness.

    Args:
        folder: For its files; the user `cyrus` must be able to enter it.
        key: The PEM public key that tokens are signed with.
        token_life: Seconds after its `iat` that a token opens the door.
    """

    user = "alice"

    def __init__(self, folder: Path, *, key: Path, token_life: int) -> None:
        imap_port, http_port = free_ports(2)
        self.url = f"http://127.0.0.1:{http_port}"
        self.password = secrets.token_urlsafe(16)
        self._imap_port = imap_port
        self._numbers = count(1000)
        self._home = folder / "cyrus"
        self._values = {
            "bin": _BIN,
            "home": str(self._home),
            "imap_port": str(imap_port),
            "http_port": str(http_port),
            "token_life": str(token_life),
        }
        self._key = key
        self._syslog = SyslogFile(folder / "syslog.log")
        conf, services = self._home / "imapd.conf", self._home / "cyrus.conf"
        command = [f"{_BIN}/master", "-C", str(conf), "-M", str(services), "-p", str(self._home / "master.pid")]
        self.program = Program("cyrus", [*command, "-D"], folder)

    def __enter__(self) -> Self:
        self._prepare()
        self._syslog.__enter__()
        try:
            self.program.start()
            self.program.until(lambda: status_of(f"{self.url}/jmap/"), "an answer over HTTP", 30)
        except AssertionError as failed:
            self.__exit__()
            raise AssertionError(f"{failed}\n{self.said()}") from failed
        return self

    def __exit__(self, *_exc: object) -> None:
        self.program.stop()
        self._syslog.__exit__()

    def said(self) -> str:
        """What it complained about."""
        return f"--- syslog\n{tail(self._syslog.file, 60)}"

    def deliver(self, mailbox: str, mail: Iterable[bytes]) -> None:
        """Puts messages into a mailbox of the user."""
        with imaplib.IMAP4("127.0.0.1", self._imap_port, timeout=20) as imap:
            imap.login(self.user, self.password)
            for each in mail:
                answer, detail = imap.append(mailbox, "", imaplib.Time2Internaldate(time.time()), each)
                assert answer == "OK", detail

    def change(self) -> None:
        """Lets mail change by another way than the proxy: a message more, not in the inbox."""
        self.deliver("Archive", [message(next(self._numbers), "A change")])

    def drop(self) -> None:
        """Drops all connections over HTTP: kills every httpd that serves one, and master starts new ones.

        Those that wait for a connection are left alone: master gives a service up that loses a few of them.
        """
        httpd = str(self._home / "httpd")
        for file in (self._home / "conf" / "proc").iterdir():  # one for each process that serves a connection, its pid
            if file.name.isdecimal() and _executable(file.name) == httpd:
                os.kill(int(file.name), signal.SIGKILL)

    def _prepare(self) -> None:
        for name in ("conf/db", "conf/log", "conf/proc", "conf/socket", "spool", "keys"):
            (self._home / name).mkdir(parents=True)
        (self._home / "imapd.conf").write_text(_IMAPD_CONF.substitute(self._values))
        (self._home / "cyrus.conf").write_text(_CYRUS_CONF.substitute(self._values))
        shutil.copyfile(self._key, self._home / "keys" / "provider.pem")
        shutil.copy(installed("httpd"), self._home / "httpd")  # where the user `cyrus` can get at it
        self._set_password()
        subprocess.run(["chown", "-R", "cyrus:mail", str(self._home)], check=True)

    def _set_password(self) -> None:
        subprocess.run(
            ["saslpasswd2", "-p", "-c", "-f", str(self._home / "sasldb2"), "-u", "localhost", self.user],
            input=self.password.encode(),
            check=True,
        )


def _executable(pid: str) -> str:
    """What a process runs, nothing when it has ended meanwhile."""
    try:
        return str(Path(f"/proc/{pid}/exe").readlink())
    except FileNotFoundError:
        return ""
