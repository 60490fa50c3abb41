"""ncsctl service on a made-up machine: what is written, kept, refused and taken away. tests/deploy has a real one."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ncs_cluster.cli.service import plan, steps
from ncs_cluster.cli.service.plan import Place
from ncs_cluster.cli.service.steps import ServiceError
from tests.conftest import ROOT

UNIT = "etc/systemd/system/ncs-clusterd.service"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A machine without the service, and an installation by pip. Commands are recorded in `commands`, not run."""
    root, prefix = tmp_path / "machine", tmp_path / "venv"
    (root / "etc").mkdir(parents=True)
    (prefix / "bin").mkdir(parents=True)
    for command in plan.COMMANDS:
        (prefix / "bin" / command).touch()
    # pytest's own folder is closed to other users
    monkeypatch.setattr(plan, "_check_prefix", lambda _: None)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(steps.Run, "do", lambda _: None)
    return Place(root, prefix, ROOT / "deploy")


def install(place: Place, *, start: bool = True) -> list[str]:
    """Lines that it says, with the machine as /."""
    made = plan.install(place, start=start)
    assert steps.perform(made, dry_run=False) == 0
    return [str(step).replace(str(place.root), "").replace(str(place.prefix), "VENV") for step in made]


def tree(place: Place) -> dict[str, str]:
    return {
        str(path.relative_to(place.root)): os.readlink(path) if path.is_symlink() else path.read_text()
        for path in sorted(place.root.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def test_install_writes_each_file_and_enables_the_unit_last(place: Place) -> None:
    said = install(place)
    assert [line for line in said if not line.startswith("run")] == [
        "write   /etc/sysusers.d/ncs-cluster.conf (mode 0644)",
        "folder  /etc/ncs-cluster (mode 0750)",
        "write   /etc/ncs-cluster/ncs-cluster.toml (mode 0640)",
        "write   /etc/ncs-cluster/token (mode 0640)",
        "folder  /var/lib/ncs-cluster (mode 0750)",
        "write   /etc/udev/rules.d/99-ncs-cluster.rules (mode 0644)",
        "write   /etc/systemd/system/ncs-clusterd.service (mode 0644)",
        "write   /etc/systemd/system/ncs-frigate.service (mode 0644)",
        *(line for line in said if "completion" in line or "zsh" in line),
        "write   /etc/ncs-cluster/installed.json (mode 0644)",
        "link    /usr/local/bin/ncs-clusterd -> VENV/bin/ncs-clusterd",
        "link    /usr/local/bin/ncsctl -> VENV/bin/ncsctl",
    ]
    assert said[1] == "run     systemd-sysusers /etc/sysusers.d/ncs-cluster.conf"
    assert said[-2:] == ["run     systemctl daemon-reload", "run     systemctl enable --now ncs-clusterd.service"]


def test_the_unit_starts_the_environment_it_was_installed_from(place: Place) -> None:
    install(place)
    unit = (place.root / UNIT).read_text()
    assert f"\nExecStart={place.prefix}/bin/ncs-clusterd --config /etc/ncs-cluster/ncs-cluster.toml\n" in unit
    assert "/opt/ncs-cluster" not in unit


def test_token_and_settings_are_closed_to_others_and_the_token_is_random(place: Place) -> None:
    install(place)
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in place.etc.iterdir()}
    assert modes == {"ncs-cluster.toml": "0o640", "token": "0o640", "installed.json": "0o644"}
    first = (place.etc / "token").read_text()
    (place.etc / "token").unlink()
    install(place)
    assert len(first.strip()) >= 40
    assert (place.etc / "token").read_text() != first


def test_a_second_install_writes_nothing(place: Place) -> None:
    install(place)
    before = tree(place)
    said = install(place)
    assert [line for line in said if not line.startswith("run")] == [
        "keep    /etc/ncs-cluster/ncs-cluster.toml",
        "keep    /etc/ncs-cluster/token",
    ]
    assert "run     systemctl restart ncs-clusterd.service" not in said
    assert tree(place) == before


def test_changed_settings_are_kept(place: Place) -> None:
    install(place)
    (place.etc / "ncs-cluster.toml").write_text('backend = "xlink"\n')
    install(place)
    assert (place.etc / "ncs-cluster.toml").read_text() == 'backend = "xlink"\n'


def test_a_changed_file_is_not_overwritten_and_nothing_else_is_done(place: Place) -> None:
    install(place)
    (place.root / UNIT).write_text("[Service]\n")
    before = tree(place)
    with pytest.raises(
        ServiceError, match=r"ncs-clusterd\.service: is not as ncsctl wrote it, so it is not overwritten; move it away"
    ):
        plan.install(place, start=True)
    with pytest.raises(ServiceError, match=r"ncs-clusterd\.service: is not as ncsctl wrote it, so it is not removed; move it away"):
        plan.uninstall(place, purge=True)
    assert tree(place) == before


def test_a_newer_release_replaces_unchanged_files_and_restarts(place: Place, tmp_path: Path) -> None:
    install(place)
    newer = tmp_path / "newer"
    newer.mkdir()
    for name in ("ncs-cluster.sysusers.conf", "99-ncs-cluster.rules", "ncs-cluster.toml", *plan.UNITS):
        (newer / name).write_bytes((ROOT / "deploy" / name).read_bytes() + b"# newer\n")
    said = install(Place(place.root, place.prefix, newer))
    assert said[-1] == "run     systemctl restart ncs-clusterd.service"
    assert (place.root / UNIT).read_text().endswith("# newer\n")
    assert not (place.etc / "ncs-cluster.toml").read_text().endswith("# newer\n")


def test_uninstall_leaves_settings_and_state_and_purge_leaves_nothing(place: Place) -> None:
    before = tree(place)
    install(place)
    state = place.root / "var/lib/ncs-cluster/history.sqlite"
    state.write_text("history")
    kept = {name: text for name, text in tree(place).items() if name.endswith(("ncs-cluster.toml", "token", "history.sqlite"))}
    steps.perform(plan.uninstall(place, purge=False), dry_run=False)
    assert tree(place) == kept
    assert [str(step) for step in plan.uninstall(place, purge=False) if not str(step).startswith("keep")] == []
    steps.perform(plan.uninstall(place, purge=True), dry_run=False)
    assert tree(place) == before
    assert not place.etc.exists()


def test_a_dry_run_prints_every_step_and_changes_nothing(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    made = plan.install(place, start=True)
    assert steps.perform(made, dry_run=True) == 0
    assert capsys.readouterr().out.splitlines() == [str(step) for step in made]
    assert tree(place) == {}


def test_a_wheel_carries_all_that_is_put_into_place(place: Place) -> None:
    shipped = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    asked: set[str] = set()

    class Recorded(Place):
        def read(self, name: str) -> bytes:
            asked.add(name)
            return super().read(name)

    plan.install(Recorded(place.root, place.prefix, place.shipped), start=True)
    assert len(asked) >= 9
    for name in asked:
        source = f"deploy/{name}" if f"deploy/{name}" in shipped else f"deploy/{name.partition('/')[0]}"
        assert shipped.get(source) == f"ncs_cluster/{source}", name


def test_a_program_of_that_name_is_left_alone(place: Place) -> None:
    other = place.root / "usr/local/bin/ncsctl"
    other.parent.mkdir(parents=True)
    other.write_text("another's")
    with pytest.raises(ServiceError, match="ncsctl is another program; move it away first"):
        plan.install(place, start=True)


def test_an_environment_that_the_service_could_not_enter_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "venv/bin").mkdir(parents=True)
    for command in plan.COMMANDS:
        (home / "venv/bin" / command).touch()
    (home / "venv").chmod(0o700)
    with pytest.raises(
        ServiceError, match="is closed to other users, so the service could not start what is in it; install into a place"
    ):
        plan.install(Place(tmp_path, home / "venv", ROOT / "deploy"), start=True)
    with pytest.raises(ServiceError, match=r"bin has no ncs-clusterd: install the package there with pip or pipx first"):
        plan.install(Place(tmp_path, home, ROOT / "deploy"), start=True)
    with pytest.raises(ServiceError, match="this is Debian's package ncs-cluster, which has its service already"):
        plan.install(Place(tmp_path, plan.DEBIAN, ROOT / "deploy"), start=True)


def test_an_ordinary_user_is_told_to_use_sudo(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ServiceError, match="only root may do this: sudo ncsctl service"):
        steps.perform(plan.install(place, start=True), dry_run=False)
    assert tree(place) == {}


def test_a_command_that_fails_is_named_with_what_it_said() -> None:
    command = steps.Run((sys.executable, "-c", "import sys; sys.exit('no such unit')"))
    with pytest.raises(ServiceError, match="failed: no such unit; the lines above are done"):
        command.do()
    with pytest.raises(ServiceError, match="No such file or directory"):
        steps.Run(("/nowhere/systemctl",)).do()
    steps.Run(("/nowhere/udevadm",), needed=False).do()


def test_ncsctl_says_what_it_would_do_in_one_line_or_a_plan() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ncs_cluster.cli.ncsctl", "service", "uninstall", "--dry-run"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    lines = (done.stdout + done.stderr).splitlines()
    assert lines
    assert all(line.startswith(("keep ", "run ", "remove ", "ncsctl: ")) for line in lines), lines
