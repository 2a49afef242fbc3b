"""YAML text to data, lines and styles; and a sentence with a line for everything that is not accepted."""

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_gateway_config.problems import Refused, in_order
from llm_gateway_config.yaml12 import (
    LARGEST_TEXT,
    MOST_NODES,
    YamlDocument,
    ambiguous,
    decode,
    scan,
    scan_one,
)
from llm_gateway_testing.documents import sound


def messages(text: str) -> list[str]:
    """What is wrong with a text, whether or not it leaves something to go on with."""
    try:
        _, problems = scan_one(text, source="f.yaml")
    except Refused as refused:
        problems = [*refused.problems]
    return [str(problem) for problem in in_order(problems)]


def test_data_lines_and_styles() -> None:
    document = sound(
        "# a comment\n"
        "server:\n"
        "  port: 8080\n"
        "models:\n"
        "  - plain\n"
        '  - "double"\n'
        "  - 'single'\n"
        "  - name: |\n"
        "      literal\n"
        "  - {name: >-\n"
        "folded}\n".replace("{name: >-\nfolded}", "name: >-\n      folded"),
        source="f.yaml",
    )
    assert document.data == {
        "server": {"port": 8080},
        "models": ["plain", "double", "single", {"name": "literal\n"}, {"name": "folded"}],
    }
    assert document.line == 2
    assert document.lines[("server", "port")] == 3
    assert document.lines[("models", 3)] == 8
    assert document.lines[("models", 4, "name")] == 10
    assert document.styles == {
        ("server", "port"): "plain",
        ("models", 0): "plain",
        ("models", 1): "double",
        ("models", 2): "single",
        ("models", 3, "name"): "literal",
        ("models", 4, "name"): "folded",
    }


def test_several_documents_those_without_content_left_out() -> None:
    documents, problems = scan("---\n---\na: 1\n---\nb: 2\n...\n---\n# nothing\n", source="f.yaml")
    assert [(document.data, document.line) for document in documents] == [({"a": 1}, 3), ({"b": 2}, 5)]
    assert documents[1].lines[("b",)] == 5
    assert problems == []


def test_no_content_is_none() -> None:
    assert sound("# nothing\n", source="f.yaml") == YamlDocument(None, {}, {}, 1)


def test_an_alias_is_the_value_again_at_its_own_path() -> None:
    document = sound("a: &x\n  k: v\nb: *x\n", source="f.yaml")
    assert document.data == {"a": {"k": "v"}, "b": {"k": "v"}}
    assert document.lines[("b",)] == 3
    assert document.styles[("b", "k")] == "plain"


def test_explicit_tags_of_the_core_schema() -> None:
    document = sound(
        "a: !!str 1\nb: !!int '1'\nc: !!float 1\nd: !!map {}\ne: !!seq []\nf: !!null ''\n", source="f"
    )
    assert document.data == {"a": "1", "b": 1, "c": 1, "d": {}, "e": [], "f": None}


JSON_TEXTS = {
    "escapes that YAML does not know": '{"a": "\\ud83d\\ude00 \\/ \\\\ud83d\\\\ude00"}',
    "tabs and no spaces": '{\n\t"a":\t[1,2.5e3,null,true,"x"]}',
    "a line of one thing": "{}",
}


@pytest.mark.parametrize("text", JSON_TEXTS.values(), ids=JSON_TEXTS)
def test_json_is_read(text: str) -> None:
    assert sound(text, source="f.json").data == json.loads(text)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=15,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=20), json_values, max_size=4), st.booleans())
def test_any_json_is_read_as_json(data: dict[str, object], ascii_only: bool) -> None:
    text = json.dumps(data, ensure_ascii=ascii_only)
    if "\0" not in text and not any(not character.isprintable() for character in text):
        assert sound(text, source="f.json").data == data


WRONG = {
    "a key twice": (
        "a: 1\nb:\n  c: 1\n  c: 2\na: 2\n",
        [
            "f.yaml:4: b.c: is written twice, first at line 3",
            "f.yaml:5: a: is written twice, first at line 1",
        ],
    ),
    "keys that are not text": (
        "1: x\ntrue: x\n~: x\n[a]: x\n",
        [
            "f.yaml:1: has the key 1, which is not text: quote it",
            "f.yaml:2: has the key true, which is not text: quote it",
            "f.yaml:3: has the key ~, which is not text: quote it",
            "f.yaml:4: has a key that is not text",
        ],
    ),
    "an unknown tag": ("a: !secret x\n", ["f.yaml:1: a: has an unknown tag !secret"]),
    "a tag of YAML 1.1": ("a: !!set {}\n", ["f.yaml:1: a: has an unknown tag !!set"]),
    "a tag that would run code": (
        "a: !!python/object:os.system x\n",
        ["f.yaml:1: a: has an unknown tag !!python/object:os.system"],
    ),
    "a tag that does not fit": ("a: !!int x\n", ["f.yaml:1: a: is tagged !!int and is not one"]),
    "a merge key": (
        "a: &a {x: 1}\nb:\n  <<: *a\n",
        ["f.yaml:3: b: merge keys (<<) are not part of YAML 1.2: write the fields out"],
    ),
    "an alias inside itself": ("a: &a\n  - *a\n", ["f.yaml:1: a[0]: an alias points to what it stands in"]),
    "an alias to nothing": ("a: *b\n", ["f.yaml:1: is not valid YAML: found undefined alias"]),
    "a list that does not end": (
        "a: [1,\n\nb: 2\n",
        [
            "f.yaml:4: is not valid YAML: did not find expected ',' or ']' "
            "while parsing a flow sequence that begins at line 1"
        ],
    ),
    "a variable in braces without quotes": (
        "a: {b: ${C}}\n",
        [
            "f.yaml:1: is not valid YAML: did not find expected ',' or '}' while parsing a flow mapping; "
            'inside { } and [ ] a ${VARIABLE} must be quoted: "${VARIABLE}"'
        ],
    ),
    "a tab for indentation": (
        "a:\n\tb: 1\n",
        [
            "f.yaml:2: is not valid YAML: found character that cannot start any token "
            "while scanning for the next token; indent with spaces, not tabs"
        ],
    ),
    "a second document": (
        "a: 1\n---\nb: 1\n",
        ["f.yaml:3: is a second document; one file holds one (the first begins at line 1)"],
    ),
    "a NUL": ("a: 1\nb: \0\n", ["f.yaml:2: holds a NUL character"]),
    "a control character": (
        "a: 1\nb: \x07\n",
        ["f.yaml:2: holds a control character that YAML does not allow"],
    ),
    "a lone surrogate": ("a: 1\nb: \ud800\n", ["f.yaml:2: is not UTF-8 text"]),
    "too deep": ("[" * 150 + "]" * 150, ["f.yaml:1: is nested deeper than 100 levels"]),
    "far too deep": ("[" * 100_000, ["f.yaml:1: is nested deeper than 100 levels"]),
    "deep over lines": ("\n[" * 2000, ["f.yaml:1002: is nested deeper than 100 levels"]),
    "too many values": ("- x\n" * (MOST_NODES + 1), [f"f.yaml: holds more than {MOST_NODES} values"]),
    "too large": ("a" * (LARGEST_TEXT + 1), ["f.yaml: is larger than 10 MiB"]),
    "too large in bytes": ("\u20ac" * (LARGEST_TEXT // 2), ["f.yaml: is larger than 10 MiB"]),
}


@pytest.mark.parametrize(("text", "expected"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_with_its_line(text: str, expected: list[str]) -> None:
    assert messages(text) == expected


def test_a_bomb_of_aliases_goes_out_early() -> None:
    rows = ["a0: &a0 [x]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12))]
    (message,) = messages("\n".join(rows))
    assert f"holds more than {MOST_NODES} values, aliases counted" in message


def test_after_a_key_written_twice_the_first_value_is_left_to_go_on_with() -> None:
    document, problems = scan_one("a: 1\na: 2\n", source="f.yaml")
    assert document.data == {"a": 1}
    assert len(problems) == 1


def test_scalars_that_readers_disagree_about() -> None:
    text = "a: on\nb: 'on'\nc: [y, 0777, 12]\non: 1\nd: 0o17\ne: |\n  on\n"
    found = ambiguous(sound(text, source="f.yaml"), source="f.yaml")
    assert [str(problem) for problem in found] == [
        "f.yaml:1: a: YAML readers disagree about on: quote it",
        "f.yaml:3: c[0]: YAML readers disagree about y: quote it",
        "f.yaml:3: c[1]: YAML readers disagree about 0777: quote it",
        "f.yaml:4: on: YAML readers disagree about on: quote it",
        "f.yaml:5: d: YAML readers disagree about 0o17: quote it",
    ]


def test_bytes_are_utf_8_with_or_without_a_mark() -> None:
    assert decode("\ufeffa: é".encode(), source="f.yaml") == "a: é"
    with pytest.raises(Refused, match="yaml:3: is not UTF-8 text"):
        decode(b"a: 1\nb: 2\nc: \xff\n", source="f.yaml")
    with pytest.raises(Refused, match="larger than 10 MiB"):
        decode(b"a" * (LARGEST_TEXT + 1), source="f.yaml")


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from("ab:{}[]-&*!?|>'\"%@#,\n\t ${}0\x00\x85\u2028"), max_size=40))
def test_no_text_raises_anything_but_refused(text: str) -> None:
    with suppress(Refused):
        scan(text, source="f.yaml")
