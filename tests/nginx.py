"""A real nginx in front of a gateway, with the lines that docs/gateway.md gives."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_connection

from tests.conftest import ROOT
from tests.free_port import free_port
from tests.needs import need_program
from tests.tied import TIED

CONFIGURATION = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1; {user}
events {{ worker_connections 128; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port}; {location} }}
}}
"""


def locations() -> list[str]:
    """The `location` blocks of docs/gateway.md: for the root, then below a path."""
    return re.findall(r"```nginx\n(.*?)```", (ROOT / "docs/gateway.md").read_text(), re.DOTALL)


@contextmanager
def nginx(folder: Path, location: str, gateway_port: int) -> Iterator[int]:
    """The port of an nginx that passes requests on to the gateway, until the block is left."""
    program = need_program("nginx", "nginx-light")
    port = free_port()
    location = location.replace("127.0.0.1:8080", f"127.0.0.1:{gateway_port}")
    # as root it would drop to www-data, which may not write into the folder
    user = "user root;" if folder.owner() == "root" else ""
    (folder / "nginx.conf").write_text(CONFIGURATION.format(folder=folder, port=port, location=location, user=user))
    process = subprocess.Popen(
        [*TIED, program, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]
    )
    try:
        until_s = time.monotonic() + 60
        while True:
            try:
                create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert process.poll() is None, (folder / "error.log").read_text()
                assert time.monotonic() < until_s, "nginx does not listen"
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(60)
