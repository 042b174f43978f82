import stat
from pathlib import Path

import pytest

from jmap_proxy.errors import ConfigError, StoreError
from jmap_proxy.tls.certificate_folder import CertificateFolder
from jmap_proxy.tls.certificates import belong_together, is_for, is_signed_by, parse_certificate, parse_key
from jmap_proxy.tokens.datakey import DataKey
from jmap_proxy.tokens.keychain import Keychain, key_places
from tests.support.clock import NOW, Clock

DAY = 86400.0


@pytest.fixture
def folder(tmp_path: Path, clock: Clock) -> CertificateFolder:
    """Give the folder as it is before the first certificate."""
    return CertificateFolder(tmp_path / "tls", Keychain(tmp_path, key_places(tmp_path, {}), "file"), clock)


def contents(folder: CertificateFolder) -> dict[str, bytes]:
    """All its files."""
    return {path.name: path.read_bytes() for path in folder.authority_file.parent.glob("*.pem")}


def test_what_is_made_is_guarded(folder: CertificateFolder) -> None:
    """Nobody else can read a file of it, and the authority's key is encrypted under the data key."""
    made = folder.make(["mail.lan"])
    assert made.why_new == "there was none"
    files = contents(folder)
    assert sorted(files) == ["ca-key.pem", "ca.pem", "cert.pem", "key.pem"]
    home = folder.authority_file.parent
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert {stat.S_IMODE((home / name).stat().st_mode) for name in files} == {0o600}
    assert b"\n-----BEGIN ENCRYPTED PRIVATE KEY-----" in files["ca-key.pem"]
    leaf = parse_certificate(files["cert.pem"])
    assert leaf == made.leaf
    assert is_for(leaf, ["mail.lan"])
    assert belong_together(leaf, parse_key(files["key.pem"]))
    assert is_signed_by(leaf, parse_certificate(files["ca.pem"]))


def test_made_again_the_authority_stays(folder: CertificateFolder, clock: Clock) -> None:
    """Clients need not be told again; the certificate is a new one for the same key, so that the pair never parts."""
    first = folder.make([])
    before = contents(folder)
    clock.now += DAY
    second = folder.make([])
    assert second.why_new == ""
    assert second.authority == first.authority
    assert second.leaf.not_valid_after_utc > first.leaf.not_valid_after_utc
    assert {name for name, content in contents(folder).items() if content != before[name]} == {"cert.pem"}


def test_a_new_authority_is_made_when_it_is_asked_for(folder: CertificateFolder) -> None:
    """All keys are new."""
    first = folder.make([])
    before = contents(folder)
    second = folder.make([], new_authority=True)
    assert second.why_new == "it was asked for"
    assert second.authority != first.authority
    assert all(content != before[name] for name, content in contents(folder).items())


def test_a_new_authority_is_made_when_a_name_needs_it(folder: CertificateFolder) -> None:
    """And not when a name is gone."""
    folder.make([])
    assert "listen.hosts" in folder.make(["mail.lan"]).why_new
    assert folder.make([]).why_new == ""
    assert folder.make(["mail.lan"]).why_new == ""


def test_a_new_authority_is_made_when_the_old_one_ends(folder: CertificateFolder, clock: Clock) -> None:
    """In time for its last certificate."""
    folder.make([])
    clock.now += 3600 * DAY
    assert folder.make([]).why_new == ""
    clock.now += 40 * DAY
    assert folder.make([]).why_new == "the old one ends soon"


def test_it_is_renewed_in_time_and_not_before(folder: CertificateFolder, clock: Clock) -> None:
    """With less than thirty of its ninety days left; the authority stays."""
    folder.make([])
    clock.now += 59 * DAY
    assert folder.renew([]) is False
    clock.now += 2 * DAY
    before = contents(folder)
    assert folder.renew([]) is True
    assert {name for name, content in contents(folder).items() if content != before[name]} == {"cert.pem"}
    assert folder.renew([]) is False


def test_it_is_renewed_for_a_name_that_its_authority_may_sign_for(folder: CertificateFolder) -> None:
    """Other names need a new authority, which only the user can make clients trust: the certificate stays."""
    folder.make(["mail.lan"])
    folder.make([])
    assert folder.renew(["mail.lan"]) is True
    before = contents(folder)
    with pytest.raises(ConfigError, match=r"listen\.hosts") as caught:
        folder.renew(["mail.lan", "other.lan"])
    assert "jmap-proxy cert" in caught.value.hint
    assert contents(folder) == before


def test_without_a_certificate_the_command_is_told(folder: CertificateFolder) -> None:
    """Whether there is a folder or not; none is made."""
    for make_folder in (False, True):
        if make_folder:
            folder.authority_file.parent.mkdir(0o700)
        with pytest.raises(ConfigError, match="there is no certificate yet") as caught:
            folder.renew([])
        assert caught.value.hint == "run: jmap-proxy cert"
        assert not folder.has_certificate
    assert contents(folder) == {}


@pytest.mark.parametrize("name", ["cert.pem", "key.pem"])
@pytest.mark.parametrize("content", [b"damaged", None])
def test_a_lost_certificate_is_made_anew(folder: CertificateFolder, name: str, content: bytes | None) -> None:
    """It can be: clients trust the authority."""
    folder.make([])
    path = folder.authority_file.with_name(name)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
        path.chmod(0o600)
    had_one = folder.has_certificate
    assert (had_one, folder.renew([]), folder.has_certificate) == (False, True, True)
    files = contents(folder)
    assert belong_together(parse_certificate(files["cert.pem"]), parse_key(files["key.pem"]))


def test_half_a_pair_is_made_whole(folder: CertificateFolder) -> None:
    """As a crash may leave it, between the new key and its certificate."""
    folder.make([])
    old = folder.certificate_file.read_bytes()
    folder.make([], new_authority=True)
    folder.certificate_file.write_bytes(old)
    assert not folder.has_certificate
    assert folder.renew([]) is True


@pytest.mark.parametrize("name", ["ca.pem", "ca-key.pem"])
@pytest.mark.parametrize("content", [b"damaged", b""])
def test_a_damaged_authority_is_told_and_left(
    folder: CertificateFolder, clock: Clock, name: str, content: bytes
) -> None:
    """Until the user asks for a new one; a certificate that is still good needs no authority's key."""
    folder.make([])
    path = folder.authority_file.with_name(name)
    path.write_bytes(content)
    clock.now += 80 * DAY
    for act in (folder.make, folder.renew):
        with pytest.raises(StoreError, match=name) as caught:
            act([])
        assert "--new-ca" in caught.value.hint
    assert path.read_bytes() == content
    assert folder.make([], new_authority=True).why_new


def folder_in(path: Path, clock: Clock) -> CertificateFolder:
    """Return the folder as another process has it."""
    return CertificateFolder(path / "tls", Keychain(path, key_places(path, {}), "file"), clock)


def test_another_data_key_does_not_open_the_authority(folder: CertificateFolder, clock: Clock, tmp_path: Path) -> None:
    """Nor does none, and none is made where one is only needed to read."""
    folder.make([])
    clock.now += 80 * DAY
    (tmp_path / "data.key").unlink()
    with pytest.raises(StoreError, match="is nowhere"):
        folder_in(tmp_path, clock).renew([])
    assert not (tmp_path / "data.key").exists()
    (tmp_path / "data-key.place").unlink()
    Keychain(tmp_path, key_places(tmp_path, {}), "file").current()
    with pytest.raises(StoreError, match="is nowhere"):
        folder_in(tmp_path, clock).renew([])


def test_a_new_data_key_takes_the_old_ones_place(folder: CertificateFolder, clock: Clock, tmp_path: Path) -> None:
    """`store rekey` encrypts the authority's key anew, so that the authority stays what clients trust."""
    folder.make([])
    authority = folder.authority_file.read_bytes()
    keychain = Keychain(tmp_path, key_places(tmp_path, {}), "file")
    key = keychain.begin_rekey(None)
    assert folder.encrypt_anew(key) == ""
    keychain.end_rekey(key)
    clock.now += 80 * DAY
    assert folder_in(tmp_path, clock).renew([])
    assert folder.authority_file.read_bytes() == authority


def test_an_authority_that_is_not_there_needs_no_new_key(folder: CertificateFolder) -> None:
    """Nor is one made for it; one that cannot be opened is told."""
    assert folder.encrypt_anew(DataKey.new()) == ""


def test_an_authority_with_another_ones_key_is_told(folder: CertificateFolder, clock: Clock) -> None:
    """As a crash may leave it."""
    folder.make([])
    old = folder.authority_file.read_bytes()
    folder.make([], new_authority=True)
    folder.authority_file.write_bytes(old)
    clock.now += 80 * DAY
    with pytest.raises(StoreError, match="does not belong to"):
        folder.renew([])


def test_an_authority_that_has_ended_signs_no_more(folder: CertificateFolder, clock: Clock) -> None:
    """The user is told to make a new one."""
    folder.make([])
    for later in (3630, 3700):
        clock.now = NOW + later * DAY
        with pytest.raises(StoreError, match="ends soon, or has ended") as caught:
            folder.renew([])
        assert "--new-ca" in caught.value.hint


def test_a_folder_that_others_can_enter_is_refused(folder: CertificateFolder, tmp_path: Path) -> None:
    """Before anything is written."""
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls").chmod(0o755)
    with pytest.raises(StoreError, match="can be used by others"):
        folder.make([])
    assert contents(folder) == {}
