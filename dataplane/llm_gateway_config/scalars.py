"""What a plain scalar of YAML means.

Rule: the core schema of YAML 1.2.2 (10.3.2), but for one thing: digits with a leading zero (`0777`) are text,
since one version of YAML reads them as octal and the other as decimal.
"""

import re

IMPLICIT_TAG = "?"
"""The tag of nodes that carry none, as YAML 1.2.2 (3.3.2) names it."""

TAGGED: dict[str, type | tuple[type, ...]] = {
    "str": str,
    "int": int,
    "float": (int, float),
    "bool": bool,
    "null": type(None),
}
"""The scalar tags `!!NAME` of the core schema, and what they make."""

_WORDS: dict[str, bool | float | None] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **{sign + word: float(sign + "inf") for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")},
}
# Longer numbers stay text: no field of ours could hold one, and Python is slow with them on purpose.
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,39})")
_OCTAL = re.compile(r"0o[0-7]{1,40}")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]{1,40}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))([eE][-+]?[0-9]+)?")
_MAY_BE_NUMBER = frozenset("+-.0123456789")

# Plain scalars that YAML 1.1 (its types int, float, bool, timestamp, value) reads as something else than 1.2
# does.
_AMBIGUOUS = re.compile(
    r"y|Y|n|N|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF|="
    r"|[-+]?0[0-9_]+|[-+]?0b[01_]+|0o[0-7]+|[-+]?0x[0-9a-fA-F_]*_[0-9a-fA-F_]*|[-+]0x[0-9a-fA-F_]+"
    r"|[-+]?[0-9][0-9_]*_[0-9_]*(\.[0-9_]*)?|[-+]?[0-9][0-9]*\.[0-9]*_[0-9_]*"
    r"|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?"
    r"|[-+]?([0-9]+|[0-9]*\.[0-9]+|[0-9]+\.)[eE][0-9]+|[-+]?[0-9]+[eE][-+][0-9]+"
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?"
)


def resolve_plain(text: str) -> str | int | float | bool | None:
    """The value of the plain scalar `text`."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _MAY_BE_NUMBER:
        return text
    if _INT.fullmatch(text):
        return int(text)
    if _OCTAL.fullmatch(text) or _HEXADECIMAL.fullmatch(text):
        return int(text, 0)
    return float(text) if _FLOAT.fullmatch(text) else text


def is_ambiguous(text: str) -> bool:
    """Whether YAML 1.1 and YAML 1.2 make different values of the plain scalar `text`."""
    return len(text) <= 64 and _AMBIGUOUS.fullmatch(text) is not None


def show_scalar(text: str) -> str:
    """A plain scalar as a message shows it."""
    return text if len(text) <= 60 else text[:60] + "..."
