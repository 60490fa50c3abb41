"""Checks of a descriptor and its Options, for plugins of every kind."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec
import pytest

from ncs_cluster.plugins import Registry, load, made


class OptionsConformance:
    """Base of the conformance classes: checks the plugin's descriptor and its `Options`."""

    registry: ClassVar[Registry[Any]]
    plugin: str
    """The plugin's name."""
    options: Mapping[str, Any] = {}
    """Options with which every check creates the plugin."""
    refused_options: Sequence[Mapping[str, Any]] = ()
    """Options that `Options` must refuse with ValueError; an unknown option is always checked."""

    @property
    def descriptor(self) -> Any:
        return self.registry.get(self.plugin)

    def whole_options(self) -> Mapping[str, Any]:
        """All options with which the plugin is made."""
        return self.options

    def made_options(self) -> Any:
        return made(self.descriptor.options, self.whole_options())

    def test_the_descriptor_bears_the_name_and_names_only_what_is_there(self) -> None:
        assert self.descriptor.name == self.plugin
        for field in msgspec.structs.fields(self.descriptor):
            value = getattr(self.descriptor, field.name)
            if isinstance(value, str) and value.count(":") == 1 and " " not in value and "." in value.partition(":")[0]:
                load(value)

    def test_options_are_a_frozen_dataclass_whose_types_can_be_read(self) -> None:
        options = load(self.descriptor.options)
        assert dataclasses.is_dataclass(options)
        parameters: Any = options
        assert parameters.__dataclass_params__.frozen
        assert set(typing.get_type_hints(options)) >= {field.name for field in dataclasses.fields(options)}

    def test_options_are_judged_when_they_are_made(self) -> None:
        assert dataclasses.is_dataclass(self.made_options())
        for given in ({"no_such_option": 1}, *self.refused_options):
            with pytest.raises(ValueError, match=r".") as refused:
                made(self.descriptor.options, {**self.whole_options(), **given})
            assert_one_line(str(refused.value))

    def test_options_are_equal_when_they_are_made_alike(self) -> None:
        assert self.made_options() == self.made_options()


def assert_one_line(text: str) -> None:
    """Fails unless `text` is one line that is not empty and no traceback."""
    assert text.strip() == text != ""
    assert "\n" not in text
    assert "Traceback" not in text
