"""A file comes whole and right over a bad line, or not at all: against a real HTTP server."""

from __future__ import annotations

import fcntl
import hashlib
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from ncs_cluster.provision.fetch import FetchError, Pinned, fetch, page, shown
from tests.provision.conftest import Site

BODY = bytes(range(256)) * 1200


def pinned(site: Site, path: str = "/file", body: bytes = BODY) -> Pinned:
    return Pinned(site.url + path, len(body), hashlib.sha256(body).hexdigest())


def get(wanted: Pinned, path: Path) -> None:
    fetch(wanted, path, plain=True, pause_s=0)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "new" / "file"


def test_a_file_is_fetched_into_a_folder_that_is_made(site: Site, target: Path) -> None:
    site.files["/file"] = BODY
    told: list[tuple[int, int]] = []
    fetch(pinned(site), target, plain=True, progress=lambda have, size: told.append((have, size)))
    assert target.read_bytes() == BODY
    assert os.listdir(target.parent) == ["file"]
    assert told[-1] == (len(BODY), len(BODY))


def test_what_is_there_and_right_is_not_asked_for_again(site: Site, target: Path) -> None:
    site.files["/file"] = BODY
    get(pinned(site), target)
    get(pinned(site), target)
    assert len(site.asked) == 1


def test_what_is_there_and_wrong_is_replaced(site: Site, target: Path) -> None:
    site.files["/file"] = BODY
    target.parent.mkdir()
    target.write_bytes(BODY[:-1] + b"x")
    get(pinned(site), target)
    assert target.read_bytes() == BODY


def test_cut_connections_are_gone_on_with_where_they_were_cut(site: Site, target: Path) -> None:
    site.files["/file"], site.cut_after = BODY, 100_000
    get(pinned(site), target)
    assert target.read_bytes() == BODY
    assert [range for _, range, _ in site.asked] == ["", "bytes=100000-", "bytes=200000-", "bytes=300000-"]


def test_what_an_earlier_call_brought_is_kept(site: Site, target: Path) -> None:
    site.files["/file"] = BODY
    target.parent.mkdir()
    target.with_name("file.part").write_bytes(BODY[:1234])
    get(pinned(site), target)
    assert target.read_bytes() == BODY
    assert site.asked[0][1] == "bytes=1234-"


def test_a_server_without_ranges_sends_it_all_again(site: Site, target: Path) -> None:
    site.files["/file"], site.ranges = BODY, False
    target.parent.mkdir()
    target.with_name("file.part").write_bytes(b"whatever")
    get(pinned(site), target)
    assert target.read_bytes() == BODY


def test_what_was_left_by_something_else_is_thrown_away_and_fetched_anew(site: Site, target: Path) -> None:
    site.files["/file"] = BODY
    target.parent.mkdir()
    target.with_name("file.part").write_bytes(b"x" * 5000)
    get(pinned(site), target)
    assert target.read_bytes() == BODY
    target.unlink()
    target.with_name("file.part").write_bytes(b"x" * (len(BODY) + 5))
    get(pinned(site), target)
    assert target.read_bytes() == BODY


def test_a_server_that_never_sends_anything_is_given_up(site: Site, target: Path) -> None:
    site.files["/file"], site.cut_after = BODY, 0
    with pytest.raises(FetchError, match=r"file: http://127.0.0.1:\d+/file: the connection was cut$"):
        get(pinned(site), target)
    assert len(site.asked) == 5


def test_a_server_out_of_breath_is_asked_again_one_that_refuses_is_not(site: Site, target: Path) -> None:
    site.files["/file"], site.status = BODY, [503, 500]
    get(pinned(site), target)
    assert target.read_bytes() == BODY
    site.status = [403]
    with pytest.raises(FetchError, match="the server answered 403 Forbidden"):
        get(pinned(site, "/other"), target.with_name("other"))
    with pytest.raises(FetchError, match=r"the server no longer has the file \(404\)"):
        get(pinned(site, "/gone"), target.with_name("gone"))
    assert len(site.asked) == 5


def test_wrong_bytes_are_refused_and_deleted(site: Site, target: Path) -> None:
    site.files["/file"] = BODY[::-1]
    with pytest.raises(FetchError, match="is not the expected file: SHA-256"):
        get(pinned(site), target)
    assert not target.exists()
    assert target.with_name("file.part").stat().st_size == 0


@pytest.mark.parametrize("body", [BODY + b"x", BODY[:-1], b""])
def test_another_length_is_refused_before_it_is_read(site: Site, target: Path, body: bytes) -> None:
    site.files["/file"] = body
    with pytest.raises(FetchError, match=f"has {len(body)} bytes, expected {len(BODY)}"):
        get(pinned(site), target)
    assert not target.exists()


def test_a_shorter_file_than_what_is_there_is_refused(site: Site, target: Path) -> None:
    site.files["/file"] = BODY[:100]
    target.parent.mkdir()
    target.with_name("file.part").write_bytes(BODY[:5000])
    with pytest.raises(FetchError, match="has 100 bytes"):
        get(pinned(site), target)


def test_a_body_without_end_is_left(site: Site, target: Path) -> None:
    site.files["/file"], site.length = BODY[:100], False
    with pytest.raises(FetchError, match=r"sends more than the expected \d+ bytes|is not the expected file"):
        get(pinned(site), target)
    assert not target.exists()


def test_no_redirect_leads_away_from_https(site: Site, target: Path) -> None:
    site.files["/file"] = BODY
    with pytest.raises(FetchError, match="is not an https URL"):
        fetch(pinned(site), target, pause_s=0)
    assert not site.asked
    for bad in ("ftp://127.0.0.1/file", "file:///etc/passwd"):
        site.redirects["/away"] = bad
        with pytest.raises(FetchError, match=r"is not an https URL|is not allowed"):
            get(pinned(site, "/away"), target)


def test_redirects_are_followed_but_not_for_ever_and_a_password_is_not_carried_to_another_host(site: Site, target: Path) -> None:
    site.files["/file"] = BODY
    site.redirects = {"/there": site.url.replace("127.0.0.1", "localhost") + "/file", "/round": "/round"}
    wanted = pinned(site, "/there")
    get(wanted._replace(url=wanted.url.replace("127", "anna:p%40ss@127")), target)
    assert [(path, bool(who)) for path, _, who in site.asked] == [("/there", True), ("/file", False)]
    assert site.asked[0][2] == "Basic YW5uYTpwQHNz"
    with pytest.raises(FetchError, match="the server answered 302") as caught:
        get(pinned(site, "/round"), target.with_name("other"))
    assert "\n" not in str(caught.value)


def test_a_host_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="the host cannot be found; is this machine online"):
        fetch(Pinned("https://nowhere.invalid/file", 1, ""), tmp_path / "file")
    with pytest.raises(FetchError, match="Connection refused"):
        fetch(Pinned("http://127.0.0.1:1/file", 1, ""), tmp_path / "file", plain=True)
    with pytest.raises(FetchError, match=r"is not a URL|is not an https URL"):
        fetch(Pinned("https://[::1/file", 1, ""), tmp_path / "file")


def test_a_proxy_of_the_environment_is_asked(site: Site, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", site.url)
    site.files["http://far.invalid/file"] = BODY
    get(Pinned("http://far.invalid/file", len(BODY), pinned(site).sha256), target)
    assert target.read_bytes() == BODY


def test_two_at_once_do_not_write_into_one_file(site: Site, target: Path) -> None:
    target.parent.mkdir()
    with target.with_name("file.part").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(FetchError, match="another process is fetching it"):
            get(pinned(site), target)


def test_a_file_that_another_call_finished_a_moment_ago_is_taken(site: Site, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between opening what has come so far and locking it."""
    site.files["/file"] = BODY
    target.parent.mkdir()
    part, lock = target.with_name("file.part"), fcntl.flock
    part.write_bytes(BODY)

    def late(file: int, how: int) -> None:
        if part.exists() and not target.exists():
            part.rename(target)
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    get(pinned(site), target)
    assert target.read_bytes() == BODY
    assert site.asked == []


@pytest.mark.parametrize("where", ["http://[bad/x", "http://127.0.0.1:1/\u00fc"], ids=["no host", "not ASCII"])
def test_an_address_that_is_none_is_one_line(site: Site, target: Path, where: str) -> None:
    with pytest.raises(FetchError, match=r"not a URL|percent-encoded"):
        page(where, 1000, plain=True)
    with pytest.raises(FetchError, match=r"not a URL|percent-encoded"):
        get(Pinned(where, 1, "0" * 64), target)


def test_a_redirect_to_nowhere_is_one_line_and_not_tried_again(site: Site, target: Path) -> None:
    site.redirects["/file"] = "http://[bad/x"
    with pytest.raises(FetchError, match="Invalid IPv6 URL"):
        page(site.url + "/file", 1000, plain=True)
    with pytest.raises(FetchError, match="Invalid IPv6 URL"):
        get(pinned(site), target)
    assert len(site.asked) == 2


def test_a_full_disk_is_one_line_and_what_has_come_stays(site: Site, target: Path) -> None:
    """A file may not grow beyond a limit: as near to a full disk as a test gets."""
    site.files["/file"] = BODY
    wanted = pinned(site)
    code = f"""
import resource, signal, sys
from pathlib import Path
from ncs_cluster.provision.fetch import FetchError, Pinned, fetch
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, {resource.RLIM_INFINITY}))
try:
    fetch(Pinned(*{tuple(wanted)!r}), Path({str(target)!r}), plain=True, pause_s=0)
except FetchError as error:
    sys.exit(str(error))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ended.stderr == f"{target}: File too large\n"
    get(wanted, target)
    assert target.read_bytes() == BODY


def test_a_folder_that_may_not_be_written_is_one_line(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FetchError, match=r"file: (File exists|Not a directory)"):
        get(pinned(site), tmp_path / "file" / "file")


def test_a_page_is_bounded(site: Site) -> None:
    site.files["/page"] = b"x" * 100
    assert page(f"{site.url}/page", 100, plain=True) == (f"{site.url}/page", b"x" * 100)
    with pytest.raises(FetchError, match="is longer than 99 bytes"):
        page(f"{site.url}/page", 99, plain=True)
    with pytest.raises(FetchError, match="404"):
        page(f"{site.url}/none", 99, plain=True)


def test_an_address_is_shown_without_its_password() -> None:
    assert shown("https://anna:secret@host:80/a/b?token=secret#c") == "https://host:80/a/b"
