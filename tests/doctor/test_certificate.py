from __future__ import annotations

from typing import TYPE_CHECKING

from jmap_proxy.doctor.certificate import judge_certificate, look_at_certificate
from jmap_proxy.doctor.finding import Level
from jmap_proxy.tls.certificates import make_authority
from tests.doctor.making import ALICE, make_installation

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_800_000_000.0
HTTPS = '[listen]\nhttps = "127.0.0.1:8621"\n'


def test_nothing_is_looked_at_where_https_is_off(tmp_path: Path) -> None:
    """Nor where it is known already that the file is wrong."""
    assert look_at_certificate(make_installation(tmp_path), frozenset()) == []
    installation = make_installation(tmp_path, HTTPS + ALICE)
    assert look_at_certificate(installation, frozenset({installation.tls})) == []


def test_files_that_are_no_certificate_are_told(tmp_path: Path) -> None:
    """The keys that name them are the mend."""
    files = 'cert_file = "cert.pem"\nkey_file = "key.pem"\n'
    (finding,) = look_at_certificate(make_installation(tmp_path, HTTPS + files + ALICE), frozenset())
    assert (finding.code, finding.level) == ("certificate-unusable", Level.ERROR)
    assert "listen.cert_file" in finding.mend


def test_a_good_certificate_tells_its_days() -> None:
    """For the user to know."""
    authority = make_authority((), NOW).certificate
    finding = judge_certificate(authority, None, NOW)
    assert (finding.code, finding.level) == ("certificate", Level.OK)
    assert finding.what.endswith(" days left")
