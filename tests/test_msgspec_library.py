"""msgspec is imported without typing_extensions by the package's own processes, and by no program that uses the package."""

from __future__ import annotations

import subprocess
import sys

import pytest


def output(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_typing_extensions_can_be_imported_afterwards() -> None:
    program = (
        "import sys; from ncs_cluster import msgspec_library; msgspec_library.load(); assert 'inspect' not in sys.modules;"
        "import typing_extensions, msgspec, typing; assert msgspec._utils.Required is typing.Required;"
        "print(typing_extensions.TypedDict.__name__)"
    )
    assert output("-c", program) == "TypedDict"


@pytest.mark.parametrize("module", ["processes.sink", "processes.fork_server", "processes.worker"])
def test_a_child_imports_msgspec_and_nothing_that_only_typing_extensions_needs(module: str) -> None:
    # it ends for want of arguments, after its imports
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", f"ncs_cluster.{module}"], capture_output=True, text=True, check=False
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert {"msgspec", "ncs_cluster.ipc.channel"} <= imported
    # not ast, which Python 3.13 imports to print how the process ends
    assert imported & {"inspect", "dis"} == set()


def test_a_program_that_imports_the_package_imports_msgspec_only_when_it_needs_it() -> None:
    assert output("-c", "import sys, ncs_cluster; print('msgspec' in sys.modules)") == "False"
