"""Rules of the CRDs between the fields of one object, by the part whose schema they stand in.

`rules.py` has the same rules for folders of YAML; a test holds the two together. What looks at a single value is in
`scalars.py`. Rules are kept out of nested lists where they can, because their cost is estimated from the bounds.
"""

from collections.abc import Mapping

from llm_gateway_operator.api import gateway, provider, selector, workload
from llm_gateway_operator.api.common import Part
from llm_gateway_operator.api.scalars import cel

Rules = tuple[dict[str, str], ...]

PARTS: Mapping[type[Part], Rules] = {
    provider.LLMProvider: (
        cel(
            "self.metadata.name.matches(r'^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$')",
            "metadata.name must be at most 63 characters long: it becomes the name of a provider and a label",
        ),
    ),
    provider.ProviderSpec: (
        cel(
            "self.type != 'Mock' || !has(self.baseURL)",
            "baseURL must be absent with type Mock, which calls nobody",
        ),
        cel(
            "self.type != 'Mock' || !has(self.auth) || (has(self.auth.type) && self.auth.type == 'None')",
            "auth must be absent with type Mock, which needs no credential",
        ),
        cel("self.type == 'Mock' || !has(self.mock)", "mock must be absent: it is for type Mock"),
        cel(
            "self.type != 'OpenAICompatible' || has(self.baseURL)",
            "baseURL is required with type OpenAICompatible, like http://127.0.0.1:8000/v1",
        ),
        cel(
            "!has(self.headers) || self.headers.all(h,"
            " self.headers.exists_one(g, g.name.lowerAscii() == h.name.lowerAscii()))",
            "headers must not name one header twice: their case means nothing",
        ),
    ),
    provider.Auth: (
        cel(
            "(has(self.type) && self.type == 'None') || has(self.secretRef)",
            "secretRef is required (or type: None, for no credential)",
        ),
        cel(
            "!has(self.type) || self.type != 'None' || !has(self.secretRef)",
            "secretRef must be absent with type None",
        ),
    ),
    provider.Header: (cel("has(self.value) != has(self.secretRef)", "must have either value or secretRef"),),
    provider.MockFault: (
        cel("self.kind == 'Status' || !has(self.status)", "status must be absent unless kind is Status"),
        cel(
            "self.kind == 'Status' || !has(self.retryAfter)",
            "retryAfter must be absent unless kind is Status",
        ),
    ),
    provider.AllowedNamespaces: (
        cel(
            "(self.from == 'Selector') == has(self.selector)",
            "selector is required with from Selector, and must be absent otherwise",
        ),
    ),
    gateway.LLMGateway: (
        cel(
            "self.metadata.name.matches(r'^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$')",
            "metadata.name must be at most 63 lower-case letters, digits and '-', beginning with a letter:"
            " it becomes the name of a Service",
        ),
    ),
    gateway.GatewaySpec: (
        cel(
            "!has(self.replicas) || !has(self.autoscaling)",
            "replicas must be absent with autoscaling, which sets the number of pods",
        ),
    ),
    gateway.Providers: (
        cel(
            "has(self.selector) || has(self.refs)",
            "must have selector or refs; leave it out for every provider of the namespace",
        ),
    ),
    gateway.RoutedModel: (
        cel(
            "!self.targets.all(t, has(t.weight) && t.weight == 0)",
            "targets must not all have weight 0: leave the weights out, or give one target more",
        ),
    ),
    gateway.Listener: (cel("self.port != 9090", "port must not be 9090, the port of the metrics"),),
    selector.Requirement: (
        cel(
            "!(self.operator in ['In', 'NotIn']) || (has(self.values) && size(self.values) > 0)",
            "values is required with operator In or NotIn",
        ),
        cel(
            "self.operator in ['In', 'NotIn'] || !has(self.values) || size(self.values) == 0",
            "values must be absent with operator Exists or DoesNotExist",
        ),
    ),
    workload.Autoscaling: (
        cel(
            "!has(self.minReplicas) || self.minReplicas <= self.maxReplicas",
            "minReplicas must not be more than maxReplicas",
        ),
        cel(
            "!has(self.metrics) || !has(self.targetCPUUtilizationPercentage)",
            "targetCPUUtilizationPercentage must be absent with metrics: write it as one of them",
        ),
    ),
}
