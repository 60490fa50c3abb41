"""The examples of docs/plugins.md are complete: a package made of them passes the checks that are printed there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.conftest import ROOT

BLOCK = re.compile(r"```(?:python|toml)\n# (\S+)\n(.*?)```", re.S)


def test_a_package_of_the_examples_passes_the_checks(tmp_path: Path) -> None:
    files = dict(BLOCK.findall((ROOT / "docs/plugins.md").read_text()))
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    about = tmp_path / "my_plugins-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: my-plugins\nVersion: 1.0\n")
    groups = tomllib.loads(files["pyproject.toml"])["project"]["entry-points"]
    lines = [f"[{group}]\nmine = {points['mine']}\n" for group, points in groups.items()]
    (about / "entry_points.txt").write_text("\n".join(lines))
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "test_mine.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stdout[-5000:]
    assert len(groups) == len([name for name in files if name.startswith("my_")])
    assert re.search(r"\d\d passed", ran.stdout)
