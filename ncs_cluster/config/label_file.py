"""Files of class names as people have them: text, numbered text, JSON, pbtxt, and the YAML of ultralytics.

A file is a list of names in the order of their ids, or names with ids. Files come from strangers: they are read as text, at most
1 MB, and nothing in them is executed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Union

from ncs_cluster.config import text_file
from ncs_cluster.errors import ConfigError

LARGEST_TEXT = 1 << 20
LARGEST_ID = 1_000_000

Listed = list[str]
"""Names in the order of their ids; "" where an id has no name."""
Numbered = dict[int, str]
Names = Union[Listed, Numbered]

UNNAMED = {"", "???", "n/a"}
"""What lists of names have, in lower case, at an id without a class."""
_NUMBER_AND_NAME = re.compile(r"^(\d{1,7})[\s:,;=]+(\S.*)$")
_SYNSET_AND_NAME = re.compile(r"^n\d{8}[\s,:]+(\S.*)$")
"""A line of ImageNet's lists."""
_COMMENT = re.compile(r"(?<!\s)\s+#.*$")
"""From the first blank on: begun at each blank, a long run of blanks would take hours."""
_FLOW_ENTRY = re.compile(r"""\s*((?:\d+\s*:\s*)?(?:'(?:[^']|'')*'|"(?:[^"\\]|\\.)*"|[^,]*))\s*(?:,|$)""")
"""An entry of a YAML list or mapping in brackets: a comma within quotes is a part of the name."""
_HEADER = re.compile(r"^(class[ _]?)?id\s*[,;\t]\s*(class[ _]?)?(name|label)$", re.IGNORECASE)
_ITEM = re.compile(r"item\s*\{([^{}]*)\}")
_FIELD = re.compile(r"""(\w+)\s*:\s*(?:"((?:[^"\\\n]|\\.)*)"|'((?:[^'\\\n]|\\.)*)'|(\d+))""")


def read(path: Path) -> Names:
    """The names of the file. Raises ConfigError, one line, for a file that cannot be understood."""
    text = read_text(path)
    try:
        if path.suffix == ".json" or text.lstrip()[:1] in ("{", "["):
            names = _of_json(json.loads(text))
        elif _ITEM.search(text):
            names = _numbered(_item(fields) for fields in _ITEM.findall(text))
        elif path.suffix in (".yaml", ".yml"):
            names = _of_yaml(text.splitlines())
        else:
            names = _of_lines([line.strip() for line in text.splitlines()])
    except (ValueError, RecursionError) as error:
        kind = "JSON" if isinstance(error, (json.JSONDecodeError, RecursionError)) else "list of class names"
        raise ConfigError(f"{path}: is no {kind}: {error}; write one name per line") from error
    if not names:
        raise ConfigError(f"{path}: holds no class name; write one name per line")
    return names


def read_text(path: Path) -> str:
    """The text of a small UTF-8 file, without a byte order mark. Raises ConfigError."""
    try:
        return text_file.read(path, LARGEST_TEXT).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error


def _of_lines(lines: Listed) -> Names:
    """One name per line; or, where every line has one, an id before the name."""
    while lines and not lines[-1]:
        lines.pop()
    filled = [line for line in lines if line]
    if filled and _HEADER.match(filled[0]):
        filled = filled[1:]
    synsets = [_SYNSET_AND_NAME.match(line) for line in filled]
    if filled and len(filled) == len(lines) and all(synsets):
        return [each[1] for each in synsets if each is not None]
    found = [_NUMBER_AND_NAME.match(line) for line in filled]
    pairs = [(int(each[1]), each[2].strip().strip("\"'")) for each in found if each is not None]
    if pairs and len(pairs) == len(filled) and (len(pairs) > 1 or len(filled) == len(lines)):
        return _numbered(pairs)
    return lines


def _of_json(value: Any) -> Names:
    """A list of names, a list of {id, name}, {id: name}, {name: id}, {id: [synset, name]} as Keras has it, or one of these as
    "names", "labels", "categories", "classes", or "id2label" as Hugging Face has it."""
    if isinstance(value, dict):
        for inner in ("names", "labels", "categories", "classes", "id2label"):
            if isinstance(value.get(inner), (dict, list)):
                return _of_json(value[inner])
        if value and all(type(number) is int for number in value.values()):
            return _numbered((number, name) for name, number in value.items())
        pairs = [(number, name[1] if isinstance(name, list) and len(name) == 2 else name) for number, name in value.items()]
        return _numbered((int(number) if number.isdecimal() else -1, name) for number, name in pairs)
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        return _numbered((each.get("id", -1), each.get("name")) for each in value)
    if isinstance(value, list) and all(isinstance(each, str) or each is None for each in value):
        return [(each or "").strip() for each in value]
    raise ValueError("neither a list of names nor names with ids")


def _item(fields: str) -> tuple[Any, Any]:
    """Id and name of an `item { … }` of a label map in protobuf's text format. "name" may be a code where there is a
    "display_name"."""
    found = {key: double or single or number for key, double, single, number in _FIELD.findall(fields)}
    number = found.get("id", "")
    return int(number) if number.isdecimal() else -1, found.get("display_name") or found.get("name")


def _of_yaml(lines: Iterable[str]) -> Names:
    """What is below `names:`: `[a, b]`, lines `- a`, or lines `0: a`. All else of the file is skipped."""
    kept = [_COMMENT.sub("", line).rstrip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    at = next((index for index, line in enumerate(kept) if line.startswith("names:")), None)
    if at is None:
        raise ValueError('it has no key "names"')
    inline = kept[at].partition(":")[2].strip()
    block = [inline] if inline else []
    for line in kept[at + 1 :]:
        if not line.startswith((" ", "\t", "-", "]", "}")):
            break
        block.append(line.strip())
    text = " ".join(block)
    if text.startswith(("[", "{")):
        inner = text[1:].rstrip().rstrip("]}")
        entries = [entry[1].strip() for entry in _FLOW_ENTRY.finditer(inner) if entry[1].strip()]
    elif block and all(line.startswith("- ") for line in block):
        return [_unquoted(line[2:]) for line in block]
    else:
        entries = block
    if text.startswith("["):
        return [_unquoted(entry) for entry in entries]
    pairs = [entry.partition(":") for entry in entries]
    return _numbered((int(number) if number.strip().isdecimal() else -1, _unquoted(name)) for number, _, name in pairs)


def _unquoted(text: str) -> str:
    text = text.strip()
    if len(text) < 2 or text[0] != text[-1] or text[0] not in "\"'":
        return text
    return text[1:-1].replace("''", "'") if text[0] == "'" else re.sub(r'\\(["\\])', r"\1", text[1:-1])


def _numbered(pairs: Iterable[tuple[Any, Any]]) -> Numbered:
    names: Numbered = {}
    for number, name in pairs:
        if type(number) is not int or not 0 <= number <= LARGEST_ID or not isinstance(name, str):
            raise ValueError(f"{name!r} has no id of 0 to {LARGEST_ID}")
        if names.get(number, name) != name:
            raise ValueError(f'id {number} is both "{names[number]}" and "{name}"')
        names[number] = name.strip()
    return names
