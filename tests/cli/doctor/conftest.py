"""The fixture `tree`."""

from tests.cli.doctor.tree import tree

__all__ = ["tree"]
