"""What `make deb` packs, without what it fetches; on real machines the package is tried by `make test-package`."""

from __future__ import annotations

import subprocess
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from deploy.debian import build, wheels
from deploy.debian.targets import ARCHS, EXTRAS, SUITES, Target
from tests.conftest import ROOT
from tests.needs import need_program

DEBIAN = ROOT / "deploy/debian"
TRIXIE_ARM64 = Target(SUITES["trixie"], ARCHS["arm64"])
BOOKWORM_AMD64 = Target(SUITES["bookworm"], ARCHS["amd64"])


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of a wheel that holds next to nothing."""
    need_program("dpkg-deb", "dpkg")
    folder = tmp_path_factory.mktemp("deb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wheels, "needed", lambda *_: [])
        return build.package(_wheel(folder), TRIXIE_ARM64, 1, folder)


def _wheel(folder: Path, *requirements: str) -> Path:
    made = folder / "ncs_cluster-0.1.0-py3-none-any.whl"
    head = "Metadata-Version: 2.4\nName: ncs-cluster\nVersion: 0.1.0\n"
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("ncs_cluster/__init__.py", "")
        archive.writestr(
            "ncs_cluster-0.1.0.dist-info/METADATA", head + "".join(f"Requires-Dist: {each}\n" for each in requirements)
        )
        archive.writestr("ncs_cluster-0.1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("ncs_cluster-0.1.0.dist-info/RECORD", "")
    return made


def _dpkg_deb(*words: object) -> str:
    return subprocess.run(["dpkg-deb", *map(str, words)], check=True, capture_output=True, text=True).stdout


def test_files_and_links_lie_where_a_service_of_debian_has_them(package: Path) -> None:
    listed = {}
    for line in _dpkg_deb("--contents", package).splitlines():
        mode, owner, _, _, _, name = line.split(maxsplit=5)
        assert owner == "root/root"
        listed[name.removeprefix(".")] = mode
    assert package.name == "ncs-cluster_0.1.0-1~deb13_arm64.deb"
    for path, mode in {
        "/etc/ncs-cluster/ncs-cluster.toml": "-rw-r--r--",
        "/usr/bin/ncsctl -> ../lib/ncs-cluster/bin/ncsctl": "lrwxrwxrwx",
        "/usr/bin/ncs-clusterd -> ../lib/ncs-cluster/bin/ncs-clusterd": "lrwxrwxrwx",
        "/usr/lib/ncs-cluster/bin/ncs-clusterd": "-rwxr-xr-x",
        "/usr/lib/ncs-cluster/bin/python3 -> ../../../bin/python3.13": "lrwxrwxrwx",
        "/usr/lib/ncs-cluster/lib/python3.13/site-packages/ncs_cluster/__init__.py": "-rw-r--r--",
        "/usr/lib/systemd/system/ncs-clusterd.service": "-rw-r--r--",
        "/usr/lib/sysusers.d/ncs-cluster.conf": "-rw-r--r--",
        "/usr/lib/udev/rules.d/99-ncs-cluster.rules": "-rw-r--r--",
        "/usr/share/doc/ncs-cluster/copyright": "-rw-r--r--",
    }.items():
        assert listed.get(path) == mode, path
    assert not [name for name in listed if name.startswith("/opt") or "direct_url" in name or "__pycache__" in name]


def test_the_unit_starts_what_the_package_holds(package: Path, tmp_path: Path) -> None:
    _dpkg_deb("--extract", package, tmp_path)
    unit = (tmp_path / "usr/lib/systemd/system/ncs-clusterd.service").read_text()
    assert "\nExecStart=/usr/lib/ncs-cluster/bin/ncs-clusterd --config /etc/ncs-cluster/ncs-cluster.toml\n" in unit
    assert "/opt/" not in unit
    assert (tmp_path / "usr/lib/ncs-cluster/bin/ncsctl").read_text().startswith("#!/usr/lib/ncs-cluster/bin/python\n")


def test_lintian_reports_no_fault(package: Path) -> None:
    lintian = need_program("lintian", "lintian")
    done = subprocess.run([lintian, "--allow-root", package], capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_it_is_bound_to_the_interpreter_and_the_processor_it_was_made_for(package: Path) -> None:
    assert _dpkg_deb("--field", package, "Architecture") == "arm64\n"
    depends = [each.strip() for each in _dpkg_deb("--field", package, "Depends").split(",")]
    assert "python3 (>= 3.13~)" in depends
    assert "python3 (<< 3.14~)" in depends
    assert "libusb-1.0-0" in depends


def test_the_same_commit_makes_the_same_package(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheels, "needed", lambda *_: [])
    again = build.package(_wheel(tmp_path), TRIXIE_ARM64, 1, tmp_path)
    assert again.read_bytes() == package.read_bytes()


@pytest.mark.parametrize("script", ["postinst", "prerm", "postrm"])
def test_a_shell_reads_the_maintainer_scripts(script: str) -> None:
    done = subprocess.run(["sh", "-n", DEBIAN / script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (DEBIAN / script).read_text().startswith("#!/bin/sh\nset -e\n")


def test_markers_are_those_of_the_target_and_not_of_this_machine() -> None:
    camera = Requirement("pyrealsense2; platform_machine == 'x86_64' and python_version < '3.14'")
    older = Requirement("typing_extensions; python_version < '3.13'")
    extra = Requirement("paho-mqtt; extra == 'mqtt'")
    assert [BOOKWORM_AMD64.applies(each) for each in (camera, older, extra)] == [True, True, False]
    assert [TRIXIE_ARM64.applies(each, EXTRAS) for each in (camera, older, extra)] == [False, False, True]


def test_what_the_project_needs_is_pinned_and_opencv_is_its_headless_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, str] = {}

    def fetched(versions: dict[str, str], _target: Target, folder: Path) -> dict[str, Path]:
        asked.update(versions)
        for name in versions:
            (folder / name).mkdir(parents=True)
        return {name: _wheel(folder / name) for name in versions}

    monkeypatch.setattr(wheels, "_fetched", fetched)
    needs = ["numpy>=2", "opencv-python>=4", "pyrealsense2>=2; platform_machine == 'x86_64'", "pyzmq>=26; extra == 'frigate'"]
    constraints = ROOT / "deploy/constraints.txt"
    wheels.needed(_wheel(tmp_path, *needs), TRIXIE_ARM64, constraints, tmp_path / "fetched")
    pins = TRIXIE_ARM64.pins(constraints)
    assert asked == {"numpy": pins["numpy"], "opencv-python-headless": pins["opencv-python"], "pyzmq": pins["pyzmq"]}
    with pytest.raises(SystemExit, match=r"pins no version of numpy<1; renew it: make constraints"):
        wheels.needed(_wheel(tmp_path, "numpy<1"), TRIXIE_ARM64, constraints, tmp_path / "fetched")


def test_a_release_candidate_comes_before_its_release_and_debian_12_before_13() -> None:
    dpkg = need_program("dpkg", "dpkg")
    bookworm, trixie = BOOKWORM_AMD64, TRIXIE_ARM64
    ordered = [
        bookworm.version("0.2.0rc1", 1),
        bookworm.version("0.2.0", 1),
        trixie.version("0.2.0", 1),
        bookworm.version("0.2.0", 2),
    ]
    for before, after in pairwise(ordered):
        assert subprocess.run([dpkg, "--compare-versions", before, "lt", after], check=False).returncode == 0, (before, after)


def test_the_configuration_is_kept_when_it_was_changed(package: Path, tmp_path: Path) -> None:
    """What dpkg treats so is listed in conffiles; the example itself is tried in test_deploy.py."""
    _dpkg_deb("--extract", package, tmp_path)
    _dpkg_deb("--control", package, tmp_path / "control")
    assert (tmp_path / "control/conffiles").read_text().split() == ["/etc/ncs-cluster/ncs-cluster.toml"]
    shipped = tmp_path / "etc/ncs-cluster/ncs-cluster.toml"
    assert shipped.read_text() == (ROOT / "deploy/ncs-cluster.toml").read_text()
