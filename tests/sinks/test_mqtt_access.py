"""A broker with TLS and a password."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.mosquitto import Broker, broker
from tests.needs import need_program
from tests.sinks.onebroker import CONFIG, online, sink
from tests.waiting import until

PASSWORD = "canary-4711"


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 and its key."""
    openssl = need_program("openssl", "openssl")
    made_, key = folder / "cert.pem", folder / "key.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"]
    command += ["-subj", "/CN=broker", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(made_)]
    subprocess.run(command, check=True, capture_output=True)
    return made_, key


# paho leaves a socket to the garbage collector whose TLS handshake has failed
@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")
def test_a_broker_with_tls_and_a_password_is_used_and_a_refusal_says_why(tmp_path: Path) -> None:
    folder = tmp_path / "certificates"
    folder.mkdir()
    cert, key = certificate(folder)
    passwords = tmp_path / "passwords"
    passwords.touch()
    passwords.chmod(0o700)
    subprocess.run(["mosquitto_passwd", "-b", str(passwords), "pi", PASSWORD], check=True, capture_output=True)
    tls: dict[str, Any] = {"tls": True, "ca_file": str(cert), "user": "pi", "password": PASSWORD}
    lines = ("allow_anonymous false", f"password_file {passwords}", f"certfile {cert}", f"keyfile {key}")
    with broker(tmp_path, *lines) as place:
        said = {
            "another password": trouble(place, **{**tls, "password": "canary-4712"}),
            "no password": trouble(place, **{**tls, "user": None, "password": None}),
            "the system's authorities": trouble(place, **{**tls, "ca_file": None}),
            "no TLS": trouble(place, **{**tls, "tls": False}),
        }
        with place.listening("--cafile", str(cert), "-u", "pi", "-P", PASSWORD) as listener, sink(place.port, **tls):
            assert CONFIG in listener.until(online, "the start")
    start = f"the MQTT broker 127.0.0.1:{place.port} cannot be used: "
    assert said["another password"] == said["no password"] == start + "Not authorized"
    assert said["the system's authorities"].startswith(start + "its certificate is not accepted: self")
    assert said["no TLS"].startswith(start)
    assert not [text for text in said.values() if "canary" in text or "\n" in text]


def trouble(place: Broker, **options: Any) -> str:
    with sink(place.port, **options) as opened:
        until(lambda: opened.trouble(), "the refusal")
        return str(opened.trouble())
