"""The checks of `ncsctl doctor`: one file each, with a probe that gathers facts and a pure judgement of them; one line each here.

A check imports no other check, and reads the machine below the case's root.
"""

from __future__ import annotations

from typing import Any

from ncs_cluster.cli.doctor.checks import (
    autosuspend,
    broker,
    cameras,
    clients,
    clock,
    daemon,
    disk,
    fallback,
    files,
    firmware,
    graphs,
    libusb,
    locks,
    memory,
    nats,
    packages,
    ports,
    power,
    rights,
    runtimes,
    secrets,
    service,
    settings,
    speed,
    sticks,
    usbfs,
    voltage,
)
from ncs_cluster.cli.doctor.running import Check

CHECKS: list[Check[Any]] = [
    Check("daemon", "whether a daemon runs, its state and its reasons", daemon.probe, daemon.judge),
    Check(
        "service",
        "the systemd unit: enabled, running, failed, restarting",
        service.probe,
        service.judge,
        otherwise="systemctl status ncs-clusterd",
    ),
    Check("settings", "whether the daemon takes its settings", settings.probe, settings.judge),
    Check("secrets", "passwords that every user may read, settings that every user may change", secrets.probe, secrets.judge),
    Check("files", "whether the daemon's user may read what its settings name", files.probe, files.judge),
    Check(
        "sticks", "sticks on the bus and their state; devices that look like one", sticks.probe, sticks.judge, otherwise="lsusb -t"
    ),
    Check("rights", "whether the daemon's user may open them: udev rule, group", rights.probe, rights.judge),
    Check("speed", "USB 2 or 3 of each stick", speed.probe, speed.judge),
    Check("power", "current that hubs and a Raspberry Pi must give", power.probe, power.judge),
    Check("autosuspend", "whether the kernel puts sticks to sleep", autosuspend.probe, autosuspend.judge),
    Check("usbfs", "memory for USB transfers, 5 MB a stick", usbfs.probe, usbfs.judge),
    Check("voltage", "under-voltage and throttling of a Raspberry Pi", voltage.probe, voltage.judge),
    Check("firmware", "the firmware that sticks boot with, by its checksum", firmware.probe, firmware.judge),
    Check("libusb", "whether libusb can be loaded", libusb.probe, libusb.judge, 4.0, "sudo apt install --reinstall libusb-1.0-0"),
    Check("graphs", "whether the graphs load in their backend", graphs.probe, graphs.judge, 8.0, "ncsctl graphs list"),
    Check("fallback", "whether the CPU could take over", fallback.probe, fallback.judge, 8.0, "docs/operate.md"),
    Check("runtimes", "interpreters of `[runtimes]`, the vendor's plugin", runtimes.probe, runtimes.judge, 8.0, "docs/backends.md"),
    Check("packages", "Python packages: missing, broken, untried versions", packages.probe, packages.judge, 8.0, packages.CHECK),
    Check("locks", "runtime directory, lock files of earlier and other programs", locks.probe, locks.judge),
    Check("cameras", "devices, rights and addresses of cameras", cameras.probe, cameras.judge, 5.0, "ls -l /dev/video*"),
    Check("ports", "TCP ports that another program has", ports.probe, ports.judge),
    Check("broker", "whether the MQTT broker answers", broker.probe, broker.judge, 5.0, "docs/integrations.md"),
    Check("nats", "whether the NATS server lets the daemon in", nats.probe, nats.judge, 8.0, "docs/fleet.md"),
    Check("clients", "each client of Frigate and the APIs: handshakes, frames, late, never sent", clients.probe, clients.judge),
    Check("disk", "space, inodes and rights where the daemon writes", disk.probe, disk.judge, otherwise="df -h; df -i; mount"),
    Check("memory", "memory that sticks and cameras need", memory.probe, memory.judge),
    Check("clock", "whether the clock is right", clock.probe, clock.judge),
]
"""In the order of the output."""
