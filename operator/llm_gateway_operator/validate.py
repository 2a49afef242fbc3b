"""`llm-gateway-operator validate`: everything that is wrong with a folder, for all of its gateways."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from llm_gateway_config.problems import Problem, in_order
from llm_gateway_operator.folder import Folder
from llm_gateway_operator.objects import Key
from llm_gateway_operator.plan import Plan, choose_gateway, plan_gateway
from llm_gateway_operator.translate import Listen


@dataclass(frozen=True, slots=True)
class Verdict:
    """`summary` is for a folder without problems."""

    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    notes: tuple[Problem, ...]
    summary: str


def validate(folder: Folder, target: Path, env: Mapping[str, str]) -> Verdict:
    """A Secret that neither the folder nor `env` has is a problem here: its provider is not served."""
    plans = {key: plan_gateway(folder, key, env, Listen()) for key in sorted(folder.objects.gateways)}
    problems = [*folder.problems, *_without_gateway(folder, target), *_of_plans(plans)]
    translated = [plan.translated for plan in plans.values() if plan.translated is not None]
    warnings = [warning for each in translated for warning in each.warnings]
    return Verdict(in_order(problems), in_order(warnings), folder.notes, _summary(folder, plans))


def _without_gateway(folder: Folder, target: Path) -> Iterator[Problem]:
    if not folder.objects.gateways:
        chosen = choose_gateway(folder, target, None)
        if isinstance(chosen, Problem):
            yield chosen


def _of_plans(plans: Mapping[Key, Plan]) -> Iterator[Problem]:
    for plan in plans.values():
        yield from plan.problems
        if plan.translated is not None:
            yield from plan.translated.left_out.values()


def _summary(folder: Folder, plans: Mapping[Key, Plan]) -> str:
    gateways = ", ".join(f"LLMGateway {key}" for key in plans)
    providers = len(folder.objects.providers)
    return f"{gateways}; {providers} LLMProvider{'s' if providers != 1 else ''}: no problems"
