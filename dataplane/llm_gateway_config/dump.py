"""Plain data as YAML text that every reader understands alike.

Rule: `yaml12.scan` gives back the same data, and so does a reader of YAML 1.1. Text is plain where it cannot
be taken for anything else, else double-quoted; so `substitute` looks at all of it, and a literal `${` must
come in escaped.
"""

import re
from typing import Any

import yaml

from llm_gateway_config.scalars import is_ambiguous, resolve_plain

try:
    from yaml import CSafeDumper as _SafeDumper
except ImportError:  # PyYAML built without libyaml
    from yaml import SafeDumper as _SafeDumper  # type: ignore[assignment]

_PLAIN = re.compile(r"[A-Za-z0-9/]([A-Za-z0-9_./:@+-]*[A-Za-z0-9_/])?")
_NO_FOLDING = 1 << 30


def dump(data: Any) -> str:
    """`data`: dict (order kept), list, str, int, float, bool, None."""
    text: str = yaml.dump(
        data, Dumper=_Dumper, sort_keys=False, default_flow_style=False, allow_unicode=True, width=_NO_FOLDING
    )
    return text


class _Dumper(_SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, value: str) -> yaml.Node:
    plain = _PLAIN.fullmatch(value) and isinstance(resolve_plain(value), str) and not is_ambiguous(value)
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if plain else '"')


_Dumper.add_representer(str, _text)
