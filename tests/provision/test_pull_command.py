"""The real `ncsctl graphs pull`, from a catalogue of one's own and a real HTTP server."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.cli import asking
from tests.conftest import ROOT
from tests.provision.conftest import Site

DEMO = ROOT / "graphs" / "demo"


def ncsctl(*argv: str | Path) -> subprocess.CompletedProcess[str]:
    return asking.ncsctl("graphs", *argv)


@pytest.fixture
def own(site: Site, tmp_path: Path) -> Path:
    """A catalogue with the demo's model, which the server has, under the name "mine"."""
    files = []
    for name in ("demo.xml", "demo.bin"):
        data = (DEMO / name).read_bytes()
        site.files[f"/models/v1/{name}"] = data
        files.append(f'{{ path = "v1/{name}", size = {len(data)}, sha256 = "{hashlib.sha256(data).hexdigest()}" }}')
    path = tmp_path / "own.toml"
    path.write_text(f"""
[models.mine]
about = "shapes, 320x256"
licence = "Apache-2.0, as this program"
address = "{site.url}/models"
files = [{", ".join(files)}]
model = "demo.xml"
decoder = {{ name = "ssd", max_detections = 9 }}
labels = ["ball", "cube", "cone", "cylinder", "torus", "pyramid"]
threshold = 0.5
""")
    return path


def test_a_model_of_ones_own_catalogue_is_pulled_and_is_a_graph_like_any_other(own: Path, tmp_path: Path) -> None:
    done = ncsctl("pull", "mine", "--catalogue", own, "--state-dir", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        f"{tmp_path}/graphs/mine: run it with --graph mine; for sticks compile it first: ncsctl graphs compile mine\n"
    )
    assert done.stderr.splitlines()[0] == "mine is under Apache-2.0, as this program"
    for name in ("demo.xml", "demo.bin"):
        assert (tmp_path / "graphs" / "mine" / name).read_bytes() == (DEMO / name).read_bytes()
    checked = ncsctl("check", "mine", "--state-dir", tmp_path, "--backend", "openvino")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout.startswith("graph   mine, decoder ssd, 6 labels, threshold 0.5\n")


def test_without_a_name_the_catalogue_is_printed(own: Path, tmp_path: Path) -> None:
    own.write_text(f"{own.read_text()}\n[models.half]\nabout = 1\n")
    done = ncsctl("pull", "--catalogue", own)
    assert (done.returncode, done.stderr) == (0, "")
    head, mine, half = (line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert [head[0], *head[1].split()] == ["MODEL", "FINDS", "SIZE", "LICENCE"]
    size = sum((DEMO / name).stat().st_size for name in ("demo.xml", "demo.bin"))
    assert mine[0] == "mine"
    assert mine[1].split() == ["shapes,", "320x256", f"{size / 1e6:.1f}", "MB", "Apache-2.0"]
    assert half[1].startswith(f"{own}: models.half.")


def test_the_password_in_an_address_is_neither_printed_nor_written(own: Path, site: Site, tmp_path: Path) -> None:
    own.write_text(own.read_text().replace("http://", "http://me:geheim@"))
    done = ncsctl("pull", "mine", "--catalogue", own, "--state-dir", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "geheim" not in done.stdout + done.stderr + (tmp_path / "graphs" / "mine" / "graph.toml").read_text()
    assert site.asked[0][2].startswith("Basic ")


def test_a_file_that_is_not_the_one_described_is_refused_and_leaves_no_graph(own: Path, site: Site, tmp_path: Path) -> None:
    site.files["/models/v1/demo.bin"] = bytes(len(site.files["/models/v1/demo.bin"]))
    done = ncsctl("pull", "mine", "--catalogue", own, "--state-dir", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "demo.bin from " in done.stderr.splitlines()[-1]
    assert "is not the expected file: SHA-256" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "graphs" / "mine").exists()


def test_a_catalogue_that_is_wrong_is_refused_before_anything_is_fetched(own: Path, site: Site, tmp_path: Path) -> None:
    own.write_text(own.read_text().replace('name = "ssd"', 'name = "none-such"'))
    done = ncsctl("pull", "mine", "--catalogue", own, "--state-dir", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f'ncsctl: {own}: models.mine: decoder: there is no decoder "none-such"')
    assert done.stderr.count("\n") == 1
    assert site.asked == []


def test_the_shipped_catalogue_is_in_the_wheel_beside_the_graphs(tmp_path: Path) -> None:
    """The wheel takes the folder `graphs` whole; from an installed package the catalogue is read there."""
    built = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert built["force-include"]["graphs"] == "ncs_cluster/graphs"
    package = tmp_path / "ncs_cluster"
    shutil.copytree(ROOT / "ncs_cluster", package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "graphs", package / "graphs", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-c", "from ncs_cluster.config.catalogue import Catalogue as C; print(C().file, *C().names)"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=True, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}
    )
    file, *names = done.stdout.split()
    assert file == str(package / "graphs" / "catalogue.toml")
    assert "face-detection-retail-0004" in names
