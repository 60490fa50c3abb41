"""The stick's firmware out of a wheel: from an index, from a file, and from files that are no such wheel."""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncs_cluster.provision import firmware
from ncs_cluster.provision.fetch import FetchError, Pinned
from ncs_cluster.provision.firmware import FirmwareError, check, install
from tests.cli import asking
from tests.hypothesis_profiles import examples
from tests.provision.conftest import Site

DATA = b"MA2x" + bytes(range(256)) * 100
TERMS = b"Terms of somebody"


def wheel(path: Path, data: bytes = DATA, **more: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(firmware.MEMBER, data)
        archive.writestr(firmware.LICENCE_MEMBER, TERMS)
        archive.writestr("../../escaped", b"no")
        for name, content in more.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Another file is the firmware, in a wheel of its own."""
    path = wheel(tmp_path / "openvino.whl")
    whole = path.read_bytes()
    monkeypatch.setattr(firmware, "SIZE", len(DATA))
    monkeypatch.setattr(firmware, "SHA256", hashlib.sha256(DATA).hexdigest())
    monkeypatch.setattr(firmware, "WHEEL", Pinned("openvino.whl", len(whole), hashlib.sha256(whole).hexdigest()))
    return path


def quiet(line: str) -> None:
    pass


def test_out_of_a_wheel_come_the_firmware_and_its_licence_and_nothing_else(ours: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert install(state, ours) == check(state) == state / "firmware" / "usb-ma2x8x.mvcmd"
    assert check(state).read_bytes() == DATA
    assert firmware.licence(state).read_bytes() == TERMS
    assert sorted(os.listdir(state / "firmware")) == ["EULA.txt", "usb-ma2x8x.mvcmd"]
    assert not list(tmp_path.rglob("escaped"))


def test_an_index_is_asked_for_the_wheel_by_its_name(ours: Path, tmp_path: Path, site: Site) -> None:
    site.files["/simple/openvino/"] = (
        b'<a href="http://[x">x</a><a href="../../files/openvino-other.whl">x</a>'
        b'<a href="../../files/openvino.whl#sha256=00" data-x>openvino.whl</a>'
    )
    site.files["/files/openvino.whl"] = ours.read_bytes()
    said: list[str] = []
    install(tmp_path / "state", environ={"PIP_INDEX_URL": site.url + "/simple"}, say=said.append)
    assert check(tmp_path / "state").read_bytes() == DATA
    assert "is under the Intel(R) OpenVINO(TM) Distribution License (Version May 2021)" in said[0]
    assert said[1].endswith(f"from {site.url}/files/openvino.whl")
    assert sorted(os.listdir(tmp_path / "state" / "firmware")) == ["EULA.txt", "usb-ma2x8x.mvcmd"], "the wheel is not kept"


def test_of_two_installs_at_once_the_slower_one_is_content_with_what_the_other_brought(
    ours: Path, tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.files["/openvino/"], site.files["/openvino.whl"] = b'<a href="/openvino.whl">', ours.read_bytes()
    extract = firmware._extract

    def slower(fetched: Path, target: Path) -> None:
        extract(fetched, target)
        fetched.unlink()
        extract(fetched, target)

    monkeypatch.setattr(firmware, "_extract", slower)
    assert install(tmp_path / "state", environ={"PIP_INDEX_URL": site.url}, say=quiet) == check(tmp_path / "state")


def test_a_private_index_gets_its_password_for_page_and_file_and_nobody_else_does(ours: Path, tmp_path: Path, site: Site) -> None:
    site.files["/openvino.whl"] = ours.read_bytes()
    private = {"PIP_INDEX_URL": site.url.replace("//", "//anna:secret@")}
    said: list[str] = []
    for link in ("/openvino.whl", site.url.replace("127.0.0.1", "localhost") + "/openvino.whl"):
        site.files["/openvino/"] = f'<a href="{link}">'.encode()
        install(tmp_path / f"state{len(site.asked)}", environ=private, say=said.append)
    assert [(path, bool(who)) for path, _, who in site.asked] == [
        ("/openvino/", True),
        ("/openvino.whl", True),
        ("/openvino/", True),
        ("/openvino.whl", False),
    ]
    assert "secret" not in "".join(said)


def test_an_index_that_has_another_wheel_of_that_name_is_refused(ours: Path, tmp_path: Path, site: Site) -> None:
    site.files["/openvino/"] = b'<a href="/openvino.whl">openvino.whl</a>'
    site.files["/openvino.whl"] = ours.read_bytes()[::-1]
    with pytest.raises(FetchError, match="is not the expected file"):
        install(tmp_path / "state", environ={"PIP_INDEX_URL": site.url}, say=quiet)
    with pytest.raises(FirmwareError, match=r"there is no firmware .* get it with: ncsctl firmware install"):
        check(tmp_path / "state")


def test_an_index_without_it_is_told(ours: Path, tmp_path: Path, site: Site) -> None:
    site.files["/openvino/"] = b"<a name=x>\xff<a href>" * 50
    with pytest.raises(FirmwareError, match=r"does not list openvino\.whl; set PIP_INDEX_URL .* or give --wheel FILE"):
        install(tmp_path / "state", environ={"PIP_INDEX_URL": site.url + "/"}, say=quiet)


@pytest.mark.parametrize(
    "damage", ["not a zip", "cut", "flipped", "other firmware", "larger firmware", "no firmware", "folder", "method", "offset"]
)
def test_a_file_that_is_no_such_wheel_is_one_line(ours: Path, tmp_path: Path, damage: str) -> None:
    whole, bad = ours.read_bytes(), tmp_path / "bad.whl"
    if damage == "not a zip":
        bad.write_bytes(b"MZ" * 1000)
    elif damage == "cut":
        bad.write_bytes(whole[: len(whole) // 2])
    elif damage == "flipped":
        bad.write_bytes(whole[:200] + bytes(byte ^ 255 for byte in whole[200:230]) + whole[230:])
    elif damage == "other firmware":
        wheel(bad, DATA[::-1])
    elif damage == "larger firmware":
        wheel(bad, DATA * 1000)
    elif damage == "no firmware":
        with zipfile.ZipFile(bad, "w") as archive:
            archive.writestr("README", b"")
    elif damage in ("method", "offset"):
        # of the first file in the directory at the archive's end: compressed by LZMA; begins at the file's last bytes
        at, what = (
            whole.index(b"PK\x01\x02"),
            {"method": (10, b"\x0e\0"), "offset": (42, (len(whole) - 5).to_bytes(4, "little"))}[damage],
        )
        bad.write_bytes(whole[: at + what[0]] + what[1] + whole[at + what[0] + len(what[1]) :])
    else:
        bad.mkdir()
    with pytest.raises(FirmwareError) as caught:
        install(tmp_path / "state", bad)
    assert str(bad) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "state" / "firmware" / "usb-ma2x8x.mvcmd").exists()


SMALL = b"MA2x and little else"


@settings(max_examples=examples(400), deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=4)), min_size=1, max_size=4), st.floats(0, 1))
def test_no_file_whatever_gives_more_than_the_firmware_or_one_line(changes: list[tuple[float, bytes]], end: float) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(firmware, "SIZE", len(SMALL))
        patch.setattr(firmware, "SHA256", hashlib.sha256(SMALL).hexdigest())
        path = wheel(Path(name) / "a.whl", SMALL)
        data = bytearray(path.read_bytes())
        for at, patched in changes:
            data[int(at * len(data)) : int(at * len(data)) + len(patched)] = patched
        path.write_bytes(data[: len(data) if end > 0.2 else int(end * 5 * len(data))])
        try:
            assert install(Path(name), path).read_bytes() == SMALL
        except FirmwareError as error:
            complaint = str(error)
            assert "\n" not in complaint
        assert not {*os.listdir(name), *os.listdir(Path(name) / "firmware")} - {"a.whl", "firmware", "EULA.txt", "usb-ma2x8x.mvcmd"}


def test_firmware_that_has_changed_on_disk_is_noticed_and_installed_again(ours: Path, tmp_path: Path) -> None:
    path = install(tmp_path, ours)
    path.write_bytes(DATA[:-1] + b"x")
    with pytest.raises(FirmwareError, match="is not the firmware of OpenVINO"):
        check(tmp_path)
    install(tmp_path, ours)
    assert check(tmp_path) == path


def ncsctl(*argv: str, **environ: str) -> CompletedProcess[str]:
    return asking.ncsctl_in({**os.environ, **environ}, "firmware", *argv)


def test_the_real_firmware_in_a_wheel_is_installed_by_the_command(
    firmware: Path,  # the oracle's
    tmp_path: Path,
) -> None:
    source = wheel(tmp_path / "any name", firmware.read_bytes())
    state = tmp_path / "state"
    for _ in range(2):
        done = ncsctl("install", "--wheel", str(source), "--state-dir", str(state))
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == (
            f"firmware of OpenVINO 2021.4.2: {state}/firmware/usb-ma2x8x.mvcmd\n"
            f"licence: Intel(R) OpenVINO(TM) Distribution License (Version May 2021), {state}/firmware/EULA.txt\n"
        )
        source.write_bytes(b"what is installed needs no wheel")
    assert ncsctl("check", STATE_DIRECTORY=str(state)).returncode == 0


def test_without_firmware_the_command_says_what_to_do(tmp_path: Path) -> None:
    done = ncsctl("check", NCS_CLUSTER_STATE_DIR=str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"ncsctl: there is no firmware {tmp_path}/firmware/usb-ma2x8x.mvcmd; get it with: "
        f"ncsctl firmware install --state-dir {tmp_path}\n"
    )
    home = ncsctl("check", HOME=str(tmp_path), XDG_STATE_HOME="", NCS_CLUSTER_STATE_DIR="", STATE_DIRECTORY="")
    assert home.stderr.endswith("get it with: ncsctl firmware install\n"), "one's own place needs no name"


def test_without_a_network_the_file_is_named_as_the_way(tmp_path: Path) -> None:
    done = ncsctl("install", "--state-dir", str(tmp_path), PIP_INDEX_URL="http://127.0.0.1:1/simple")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == (
        "ncsctl: http://127.0.0.1:1/simple/openvino/: Connection refused; "
        "without a network name a copy of the wheel with --wheel FILE"
    )
