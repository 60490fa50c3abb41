"""Builds the Debian package: `make deb`, `make deb SUITES=bookworm ARCHS=arm64`.

    python -m deploy.debian.build --suite trixie --arch arm64 --out build/deb

A package holds a virtual environment for one release of Debian and one processor, filled with wheels; any machine with dpkg-deb and
pip builds all of them. docs/decisions 0049 says why it is so.
"""

from __future__ import annotations

import argparse
import gzip
import os
import shutil
import subprocess
import sys
from email.utils import formatdate
from pathlib import Path

from deploy import describe
from deploy.debian import wheels
from deploy.debian.targets import ARCHS, SUITES, Target

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
DEPLOY = HERE.parent
HOME = "/usr/lib/ncs-cluster"
LOCAL = "/usr/local/lib/ncs-cluster/python{python}"
"""Where the machine's owner may add Python packages, which the daemon then sees."""
MAINTAINER = "ncs_cluster maintainers <maintainers@ncs-cluster.invalid>"
UNITS = ("ncs-clusterd.service", "ncs-frigate.service")
COMMANDS = {"ncs-clusterd": "daemon", "ncsctl": "ncsctl"}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="deploy/debian/build.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--suite", choices=SUITES, action="append", help="release of Debian (repeatable) [all]")
    parser.add_argument("--arch", choices=ARCHS, action="append", help="processor (repeatable) [all]")
    parser.add_argument("--revision", type=int, default=1, help="of the package, for the same release of the project [1]")
    parser.add_argument("--out", type=Path, default=PROJECT / "build/deb", help="for packages and wheels [build/deb]")
    asked = parser.parse_args()
    if shutil.which("dpkg-deb") is None:
        sys.exit("there is no dpkg-deb: apt install dpkg")
    out = asked.out.absolute()
    shutil.rmtree(out / "own", ignore_errors=True)
    wheel = wheels.own(PROJECT, out / "own")
    for suite in asked.suite or SUITES:
        for arch in asked.arch or ARCHS:
            print(package(wheel, Target(SUITES[suite], ARCHS[arch]), asked.revision, out), flush=True)


def package(wheel: Path, target: Target, revision: int, out: Path) -> Path:
    """The package of one target, in `out`."""
    constraints = DEPLOY / "constraints.txt"
    name = f"deb{target.suite.number}-{target.arch.debian}"
    needed = wheels.needed(wheel, target, constraints, out / "wheels" / name)
    root = out / "roots" / name
    shutil.rmtree(root, ignore_errors=True)
    _environment(root, [wheel, *needed], target)
    _service(root)
    version = target.version(wheel.name.split("-")[1], revision)
    epoch = _committed()
    _documents(root, version, epoch)
    size = sum(path.lstat().st_size for path in root.rglob("*") if path.is_file() or path.is_symlink()) // 1024
    _control(root, target, version, size)
    made = out / f"ncs-cluster_{version}_{target.arch.debian}.deb"
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch)}
    # a Raspberry Pi unpacks zstd several times faster than xz
    command = ["dpkg-deb", "--root-owner-group", "-Zzstd", "-z10", "--build", root, made]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    shutil.rmtree(root)
    return made


def _committed() -> int:
    """When what is built was committed, unix s: the same commit makes the same package."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    said = subprocess.run(["git", "-C", PROJECT, "log", "-1", "--format=%ct"], capture_output=True, text=True, check=False)
    return int(said.stdout.strip() or 0)


def _environment(root: Path, taken: list[Path], target: Target) -> None:
    """The virtual environment, as `python3 -m venv` on the target would make it."""
    home = root / HOME[1:]
    python = target.suite.python
    site = home / f"lib/python{python}/site-packages"
    flags = ["--no-deps", "--no-compile", "--no-index", "--target", site, *target.pip_flags()]
    subprocess.run([*wheels.PIP, "install", *flags, *taken], check=True)
    # commands of wheels name this machine's interpreter, and the daemon calls none of them
    for each in ("bin", "share", "include"):
        shutil.rmtree(site / each, ignore_errors=True)
    # where the wheels lay on this machine
    for each in site.glob("*.dist-info/direct_url.json"):
        each.unlink()
        record = each.with_name("RECORD")
        lines = record.read_text().splitlines(keepends=True)
        record.write_text("".join(line for line in lines if not line.startswith(f"{each.parent.name}/{each.name},")))
    (site / "local.pth").write_text(LOCAL.format(python=python) + "\n")
    _write(home / "pyvenv.cfg", f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {target.suite.full_python}\n")
    (home / "bin").mkdir()
    (home / "bin/python3").symlink_to(f"../../../bin/python{python}")
    (home / "bin/python").symlink_to("python3")
    (root / "usr/bin").mkdir(parents=True)
    for command, module in COMMANDS.items():
        _write(home / "bin" / command, (HERE / "launcher").read_text().format(module=module), 0o755)
        (root / "usr/bin" / command).symlink_to(f"../lib/ncs-cluster/bin/{command}")


def _service(root: Path) -> None:
    """Units, udev rule, user and configuration."""
    for unit in UNITS:
        text = (DEPLOY / unit).read_text().replace("/opt/ncs-cluster/bin", f"{HOME}/bin")
        _write(root / "usr/lib/systemd/system" / unit, text)
    for file, place in (
        ("99-ncs-cluster.rules", "usr/lib/udev/rules.d/99-ncs-cluster.rules"),
        ("ncs-cluster.sysusers.conf", "usr/lib/sysusers.d/ncs-cluster.conf"),
        ("ncs-cluster.toml", "etc/ncs-cluster/ncs-cluster.toml"),
    ):
        _write(root / place, (DEPLOY / file).read_text())


def _documents(root: Path, version: str, epoch: int) -> None:
    """As Debian asks for: the licence, what has changed, manual pages; completions and the pages of docs."""
    folder = root / "usr/share/doc/ncs-cluster"
    _write(folder / "copyright", (HERE / "copyright").read_text())
    folder.joinpath("changelog.gz").write_bytes(gzip.compress((PROJECT / "CHANGELOG.md").read_bytes(), mtime=0))
    entry = f"ncs-cluster ({version}) unstable; urgency=medium\n\n  * See changelog.gz.\n\n -- {MAINTAINER}  {formatdate(epoch)}\n"
    folder.joinpath("changelog.Debian.gz").write_bytes(gzip.compress(entry.encode(), mtime=0))
    _write(root / "usr/share/lintian/overrides/ncs-cluster", (HERE / "lintian-overrides").read_text())
    describe.man(root / "usr/share/man/man1")
    for page in sorted((root / "usr/share/man/man1").iterdir()):
        page.with_name(f"{page.name}.gz").write_bytes(gzip.compress(page.read_bytes(), mtime=0))
        page.unlink()
    for command in COMMANDS:
        text = (DEPLOY / f"completions/{command}.bash").read_text()
        _write(root / "usr/share/bash-completion/completions" / command, text)
        text = (DEPLOY / f"completions/{command}.zsh").read_text()
        _write(root / "usr/share/zsh/vendor-completions" / f"_{command}", text)
    for page in sorted((PROJECT / "docs").glob("*.md")):
        _write(folder / page.name, page.read_text())


def _control(root: Path, target: Target, version: str, size_kib: int) -> None:
    major, minor = target.suite.python.split(".")
    text = (HERE / "control").read_text()
    text = text.format(
        version=version,
        maintainer=MAINTAINER,
        arch=target.arch.debian,
        size=size_kib,
        python=target.suite.python,
        following=f"{major}.{int(minor) + 1}",
        glibc="2.36",
        number=target.suite.number,
    )
    _write(root / "DEBIAN/control", text)
    _write(root / "DEBIAN/conffiles", "/etc/ncs-cluster/ncs-cluster.toml\n")
    for script in ("postinst", "prerm", "postrm"):
        _write(root / "DEBIAN" / script, (HERE / script).read_text(), 0o755)
    for path in [root, *root.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


if __name__ == "__main__":
    main()
