"""`ncsctl service install` and `ncsctl service uninstall`: the daemon as a service of systemd, from an installation by pip."""

from __future__ import annotations

import argparse
from collections.abc import Callable

Add = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]


def add(command: Add) -> None:
    """Add the command to ncsctl's parser."""
    service = command("service", _install, "the daemon as a service of systemd, where it was installed by pip or pipx")
    what = service.add_subparsers(metavar="WHAT", required=True)
    dry = argparse.ArgumentParser(add_help=False)
    dry.add_argument("--dry-run", action="store_true", help="print each file and each command, and change nothing")
    install = what.add_parser("install", parents=[dry], help="user, unit, udev rule, settings and token; enabled and started")
    install.add_argument("--no-start", action="store_true", help="enable it without starting it now")
    install.set_defaults(run=_install)
    uninstall = what.add_parser("uninstall", parents=[dry], help="take away what install has written; settings and state stay")
    uninstall.add_argument("--purge", action="store_true", help="settings, token, state and user go too")
    uninstall.set_defaults(run=_uninstall)


def _install(given: argparse.Namespace) -> int:
    from ncs_cluster.cli.service import plan, steps

    return steps.perform(plan.install(plan.Place.here(), start=not given.no_start), dry_run=given.dry_run)


def _uninstall(given: argparse.Namespace) -> int:
    from ncs_cluster.cli.service import plan, steps

    return steps.perform(plan.uninstall(plan.Place.here(), purge=given.purge), dry_run=given.dry_run)
