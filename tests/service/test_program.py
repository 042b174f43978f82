from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from jmap_proxy.errors import ServiceError, StoreError
from jmap_proxy.service.program import MISSING, check_ours, read, run, write
from jmap_proxy.service.seal import sealed_unit

if TYPE_CHECKING:
    from pathlib import Path


def test_a_program_tells_its_code_and_its_words() -> None:
    """Both of its streams; its complaint is one line."""
    done = run(sys.executable, "-c", "import sys; print('out'); sys.stderr.write('two\\nlines'); sys.exit(5)")
    assert (done.code, done.out, done.is_good) == (5, "out\n", False)
    assert done.said == "two lines"


def test_a_program_that_says_nothing() -> None:
    """Then its exit code is what there is to tell; so it is where it writes to the terminal's controls."""
    assert run(sys.executable, "-c", "import sys; sys.exit(4)").said == "exit code 4"
    assert run(sys.executable, "-c", "import sys; sys.stderr.write('\\x1b[31mred'); sys.exit(4)").said == "exit code 4"
    assert run(sys.executable, "-c", "print('only out')").said == "only out"


def test_a_program_that_is_not_there() -> None:
    """It has failed."""
    done = run("no-such-program-of-jmap-proxy")
    assert done.code == MISSING
    assert "no-such-program" in done.said


def test_a_program_that_does_not_end() -> None:
    """It is ended after a while, and has failed."""
    done = run(sys.executable, "-c", "import signal; signal.pause()", patience=0.1)
    assert done.code == MISSING
    assert "took longer than 0.1 s" in done.said


def test_a_file_is_for_all_to_read(tmp_path: Path) -> None:
    """It holds no secret, and folders that are missing are made."""
    file = tmp_path / "a" / "b" / "x.service"
    write(file, "text\n")
    assert file.stat().st_mode & 0o777 == 0o644
    assert read(file) == "text\n"
    assert [each.name for each in file.parent.iterdir()] == ["x.service"]


def test_what_is_there(tmp_path: Path) -> None:
    """Nothing; a link, which is somebody else's; something that cannot be read."""
    assert read(tmp_path / "x") is None
    (tmp_path / "link").symlink_to("/dev/null")
    assert read(tmp_path / "link") == ""
    (tmp_path / "folder").mkdir()
    with pytest.raises(ServiceError, match="folder"):
        read(tmp_path / "folder")


def test_bytes_that_are_no_text_are_somebody_elses(tmp_path: Path) -> None:
    """They raise nothing, and are left."""
    (tmp_path / "x").write_bytes(b"\xff\xfe")
    with pytest.raises(ServiceError, match="left as it is"):
        check_ours(tmp_path / "x", read(tmp_path / "x"), force=False)


def test_only_ours_is_replaced(tmp_path: Path) -> None:
    """Unless it is forced."""
    for there in (None, sealed_unit("x")):
        check_ours(tmp_path, there, force=False)
    check_ours(tmp_path, "somebody else's", force=True)
    with pytest.raises(ServiceError) as caught:
        check_ours(tmp_path, "somebody else's", force=False)
    assert "--force" in caught.value.hint


def test_a_folder_of_others_is_not_written_to(tmp_path: Path) -> None:
    """They could replace the unit with a program of theirs."""
    tmp_path.chmod(0o777)
    with pytest.raises(StoreError, match="can be used by others"):
        write(tmp_path / "x.service", "text")
