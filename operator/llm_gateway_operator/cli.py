"""The command `llm-gateway-operator`.

Exit codes: 0 all is well, 1 problems (or the gateway's own code), 2 wrong usage.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

from llm_gateway_config.problems import Problem
from llm_gateway_operator import local
from llm_gateway_operator.folder import read_folder
from llm_gateway_operator.manifests import manifests, manifests_text
from llm_gateway_operator.plan import make_plan
from llm_gateway_operator.render.intent import Installation
from llm_gateway_operator.render.version import ServerVersion
from llm_gateway_operator.translate import in_pod
from llm_gateway_operator.validate import validate


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    env = dict(os.environ)
    match options.command:
        case "local":
            return local.run(_local_options(options, env, parser))
        case "render":
            return _render(options, env)
        case "run":
            return _run(options)
    return _validate(options, env)


def _render(options: argparse.Namespace, env: Mapping[str, str]) -> int:
    plan = make_plan(options.folder, options.gateway, env, in_pod())
    _complain([*plan.problems, *plan.notes])
    if plan.problems:
        return 1
    _complain(plan.warnings, "warning: ")
    if options.config:
        sys.stdout.write(plan.text)
        return 0
    installation = Installation(options.gateway_image, options.operator_namespace)
    rendered = manifests(plan, installation, options.kubernetes_version)
    if isinstance(rendered, Problem):
        _complain([rendered])
        return 1
    sys.stdout.write(manifests_text(rendered))
    return 0


def _run(options: argparse.Namespace) -> int:
    # Here, because kopf and the client of Kubernetes take a second to import: the other commands need neither.
    from llm_gateway_operator.run import Settings, main

    installation = Installation(options.gateway_image, options.operator_namespace)
    namespaces = tuple(
        dict.fromkeys(name for names in options.namespace for name in names.split(",") if name)
    )
    return main(Settings(installation, namespaces, options.host, options.port))


def _validate(options: argparse.Namespace, env: Mapping[str, str]) -> int:
    verdict = validate(read_folder(options.folder), options.folder, env)
    _complain([*verdict.problems, *verdict.notes])
    _complain(verdict.warnings, "warning: ")
    if verdict.problems:
        return 1
    print(f"{options.folder}: {verdict.summary}")
    return 0


def _complain(lines: Sequence[object], prefix: str = "") -> None:
    for line in lines:
        print(f"{prefix}{line}", file=sys.stderr)


def _local_options(
    options: argparse.Namespace, env: Mapping[str, str], parser: argparse.ArgumentParser
) -> local.Options:
    port, metrics_port = options.port, options.metrics_port
    try:
        port = port or _port_of(env, "PORT")
        metrics_port = metrics_port or _port_of(env, "METRICS_PORT")
    except argparse.ArgumentTypeError as error:
        parser.error(str(error))
    return local.Options(options.folder, options.gateway, port, metrics_port, env)


def _port_of(env: Mapping[str, str], variable: str) -> int | None:
    text = env.get(variable)
    if not text:
        return None
    try:
        return _port(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"environment variable {variable}: {error}") from error


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"must be a port from 1 to 65535, is {text!r}")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="llm-gateway-operator",
        description="LLMProvider and LLMGateway objects in, a running gateway out.",
    )
    version = f"%(prog)s {metadata.version('llm-gateway')}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    serve = commands.add_parser("local", help="serve a folder of YAML on this machine and apply every edit")
    _add_folder(serve)
    _add_gateway(serve)
    serve.add_argument(
        "--port", type=_port, help="port of the API (environment: PORT; else the LLMGateway's, else 8080)"
    )
    serve.add_argument(
        "--metrics-port", type=_port, help="port of metrics (environment: METRICS_PORT; else 9090)"
    )

    _add_run(commands.add_parser("run", help="be the operator of a cluster"))
    _add_render(commands.add_parser("render", help="print the objects that would be applied for a folder"))

    _add_folder(
        commands.add_parser("validate", help="check a folder, all of its LLMGateways and across files")
    )
    return parser


def _add_run(parser: argparse.ArgumentParser) -> None:
    _add_installation(parser)
    parser.add_argument(
        "--namespace",
        action="append",
        default=[],
        metavar="NAME",
        help="look after this namespace only; may be repeated (default: the whole cluster)",
    )
    parser.add_argument(
        "--host", default="0.0.0.0", help="address of health and metrics (default: %(default)s)"
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=8080,
        help="port of /healthz, /readyz and /metrics (default: %(default)s)",
    )


def _add_render(parser: argparse.ArgumentParser) -> None:
    _add_folder(parser)
    _add_gateway(parser)
    parser.add_argument("--config", action="store_true", help="print gateway.yaml alone")
    _add_installation(parser)
    parser.add_argument(
        "--kubernetes-version",
        type=_version,
        default=ServerVersion(1, 34),
        metavar="VERSION",
        help="of the API server (default: %(default)s)",
    )


def _add_installation(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--gateway-image",
        default=f"llm-gateway:{metadata.version('llm-gateway')}",
        metavar="IMAGE",
        help="the gateway's image, where podTemplate names none (default: %(default)s)",
    )
    parser.add_argument(
        "--operator-namespace",
        default="llm-gateway-system",
        metavar="NAMESPACE",
        help="where the operator runs (default: %(default)s)",
    )


def _version(text: str) -> ServerVersion:
    try:
        return ServerVersion.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="folder of YAML or JSON, or one such file"
    )


def _add_gateway(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--gateway", metavar="NAME", help="NAME or NAMESPACE/NAME, where the folder holds several"
    )
