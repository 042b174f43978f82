"""The certificate of a running proxy's https listener: the user's, or that of `jmap-proxy cert`."""

from __future__ import annotations

import asyncio
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from jmap_proxy.errors import ConfigError, StoreError
from jmap_proxy.tls.certificate_watch import CertificateWatch
from jmap_proxy.tls.contexts import server_context

if TYPE_CHECKING:
    from collections.abc import Callable

    from jmap_proxy.config import Listen
    from jmap_proxy.tls.certificate_folder import CertificateFolder

log = structlog.get_logger("jmap_proxy.cli")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a certificate comes from.

    Attributes:
        cert_file: PEM chain.
        key_file: Its PEM key.
        hosts: Further names that it is renewed for; none for the user's own.
        renew: Makes it anew if it is time. Blocks, raises ConfigError, StoreError.
    """

    cert_file: str
    key_file: str
    hosts: tuple[str, ...]
    renew: Callable[[], object]

    @classmethod
    def of(cls, listen: Listen, folder: CertificateFolder) -> Source:
        """By the configuration. Pure."""
        if listen.cert_file:
            return cls(listen.cert_file, listen.key_file, (), lambda: None)
        renew = functools.partial(folder.renew, listen.hosts)
        return cls(str(folder.certificate_file), str(folder.key_file), listen.hosts, renew)

    def is_same(self, other: Source) -> bool:
        """Whether it is the other one."""
        return (self.cert_file, self.key_file, self.hosts) == (other.cert_file, other.key_file, other.hosts)


class ServedCertificate:
    """The certificate that is shown now, while https is on.

    Args:
        folder: The local authority's.
    """

    def __init__(self, folder: CertificateFolder) -> None:
        self._folder = folder
        self._source: Source | None = None
        self._watch: CertificateWatch | None = None
        self._task: asyncio.Task[None] | None = None

    async def prepare(self, listen: Listen) -> tuple[Source, CertificateWatch]:
        """See that the certificate of that configuration can be shown, which is renewed if it is time.

        Returns:
            What `take` is to be given; the watch's context is the one for the listener.

        Raises:
            ConfigError, StoreError: it cannot; what is shown now stays.
        """
        source = Source.of(listen, self._folder)
        if self._watch is not None and self._source is not None and source.is_same(self._source):
            return self._source, self._watch
        try:
            await asyncio.to_thread(source.renew)
        except (ConfigError, StoreError) as error:
            if not self._folder.has_certificate:
                raise
            log.warning("the certificate cannot be renewed", detail=error.detail, hint=error.hint)
        if self._watch is None:
            return source, CertificateWatch(source.cert_file, source.key_file, source.renew)
        server_context(source.cert_file, source.key_file)
        return source, self._watch

    def take(self, prepared: tuple[Source, CertificateWatch] | None) -> None:
        """Show this one from now on; None: https is off."""
        if prepared is None or prepared[1] is not self._watch:
            self.close()
        if prepared is None:
            self._source = self._watch = None
            return
        source, watch = prepared
        if watch is self._watch and source is not self._source:
            try:
                watch.follow(source.cert_file, source.key_file, source.renew)
            except ConfigError as error:  # it has gone since it was prepared
                log.error("the certificate cannot be shown", detail=error.detail, hint=error.hint)
        elif watch is not self._watch:
            self._task = asyncio.create_task(watch.run(), name="certificate")
        self._source, self._watch = source, watch

    def close(self) -> None:
        """Follow it no longer."""
        if self._task is not None:
            self._task.cancel()
