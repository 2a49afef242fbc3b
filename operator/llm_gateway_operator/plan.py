"""From a folder to the document to serve: read, choose the gateway, translate, check against the contract.

Reads files and nothing else. What it returns is all that `local`, `render` and `validate` say and do.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from llm_gateway_config.dump import dump
from llm_gateway_config.load import load_text
from llm_gateway_config.problems import Problem, Refused, did_you_mean, in_order
from llm_gateway_operator.api.gateway import LLMGateway
from llm_gateway_operator.credentials import references
from llm_gateway_operator.folder import Folder, read_folder
from llm_gateway_operator.objects import Key, Objects
from llm_gateway_operator.secrets import LocalSecrets
from llm_gateway_operator.selection import select
from llm_gateway_operator.translate import Listen, Translated, translate


@dataclass(frozen=True, slots=True)
class Plan:
    """`text` is the document as YAML, to be served only when `problems` is empty.

    `warnings`: what is not served although nothing is wrong with the rest; `notes`: what was ignored.
    `resource` and `translated` are None when no gateway could be chosen.
    """

    gateway: Key | None
    resource: LLMGateway | None
    translated: Translated | None
    text: str
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    notes: tuple[Problem, ...]


def make_plan(target: Path, gateway: str | None, env: Mapping[str, str], listen: Listen) -> Plan:
    """`gateway`: NAME or NAMESPACE/NAME, needed when the folder holds several."""
    folder = read_folder(target)
    key = choose_gateway(folder, target, gateway)
    if isinstance(key, Problem):
        return _refusal(folder, [key])
    if key is None:
        return _refusal(folder, [])
    return plan_gateway(folder, key, env, listen)


def plan_gateway(folder: Folder, key: Key, env: Mapping[str, str], listen: Listen) -> Plan:
    """The plan for one gateway of a folder that was read."""
    translated = translate(folder.objects, key, _secrets(folder.objects, key, env), listen)
    problems = in_order([*folder.problems, *translated.problems])
    text = dump(translated.document)
    return Plan(
        gateway=key,
        resource=folder.objects.gateways[key].value,
        translated=translated,
        text=text,
        # Last, and only for what is sound so far: the resources say it better than the document made of them.
        problems=problems or _against_contract(text, key),
        warnings=in_order([*_left_out(translated), *translated.warnings]),
        notes=folder.notes,
    )


def choose_gateway(folder: Folder, target: Path, wanted: str | None) -> Key | Problem | None:
    """The gateway to serve; None when there is one, but it could not be read."""
    known = folder.objects.gateways
    unreadable = any(kind == "LLMGateway" for kind, _ in folder.objects.unreadable)
    if wanted is not None:
        found = [key for key in known if wanted in (key.name, str(key))]
        known = {key: known[key] for key in found}
    names = ", ".join(str(key) for key in sorted(folder.objects.gateways))
    if len(known) == 1:
        return next(iter(known))
    if unreadable or (not names and folder.problems):
        return None
    if not names:
        return Problem(str(target), None, "", "holds no LLMGateway: nothing says what to serve")
    if known:
        return Problem(
            str(target), None, "", f"holds several LLMGateways: choose with --gateway one of {names}"
        )
    hint = did_you_mean(wanted or "", (key.name for key in folder.objects.gateways))
    return Problem(str(target), None, "", f"holds no LLMGateway {wanted}, only {names}{hint}")


def _left_out(translated: Translated) -> Iterator[Problem]:
    for provider, problem in translated.left_out.items():
        yield replace(problem, message=f"provider {provider} is left out: {problem.message}")


def _against_contract(text: str, key: Key) -> tuple[Problem, ...]:
    # The files of credentials are not written yet: that leaves providers out, which is no reason to refuse.
    try:
        load_text(text, source=f"gateway.yaml of LLMGateway {key}", env={}, base=None, strict=True)
    except Refused as refused:
        return refused.problems
    return ()


def _secrets(objects: Objects, key: Key, env: Mapping[str, str]) -> LocalSecrets:
    providers = select(objects, objects.gateways[key]).providers.values()
    return LocalSecrets(
        objects.secrets, env, [ref for found in providers for _, ref in references(found.value)]
    )


def _refusal(folder: Folder, problems: list[Problem]) -> Plan:
    return Plan(None, None, None, "", in_order([*folder.problems, *problems]), (), folder.notes)
