"""What came of applying the objects of one gateway."""

from dataclasses import dataclass

from llm_gateway_operator.kube.kinds import Kind


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the API server does not accept until the gateway's spec is changed."""

    kind: Kind
    name: str
    message: str


@dataclass(frozen=True, slots=True)
class Applied:
    """`conflicts`: objects of other people under our names, like `Service llm-gateway`; then nothing was written.

    `overridden`: what others have set in the place of defaults, like `Deployment spec.replicas`.
    """

    conflicts: tuple[str, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    overridden: tuple[str, ...] = ()
