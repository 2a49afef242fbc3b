"""What a pod finds in its config volume is a document of the contract, with its credentials beside it."""

import base64
from pathlib import Path

import pytest

from llm_gateway_config import load_file
from llm_gateway_testing.rendered import CASES, rendered


@pytest.mark.parametrize("case", CASES)
def test_the_config_volume_loads(case: str, tmp_path: Path) -> None:
    objects = {child.object["kind"]: child.object for child in rendered(case)}
    template = objects["Deployment"]["spec"]["template"]["spec"]
    [volume] = [volume for volume in template["volumes"] if volume["name"] == "config"]
    for source in volume["projected"]["sources"]:
        [(kind, reference)] = source.items()
        held = objects["ConfigMap" if kind == "configMap" else "Secret"]
        assert held["metadata"]["name"] == reference["name"]
        for name, text in held["data"].items():
            # The kubelet writes every entry under its own name into the one folder.
            content = text.encode() if kind == "configMap" else base64.b64decode(text)
            (tmp_path / name).write_bytes(content)
    loaded = load_file(tmp_path / "gateway.yaml", {}, strict=True)
    assert not loaded.warnings
    assert not loaded.left_out
    [container] = [each for each in template["containers"] if each["name"] == "gateway"]
    [mount] = [mount for mount in container["volumeMounts"] if mount["name"] == "config"]
    assert container["args"] == ["--config", f"{mount['mountPath']}/gateway.yaml"]
    ports = {port.get("name"): port["containerPort"] for port in container["ports"]}
    assert (ports["http"], ports["metrics"]) == (loaded.config.server.port, loaded.config.server.metrics_port)
    assert loaded.config.server.host == "0.0.0.0"
    assert template["terminationGracePeriodSeconds"] > loaded.config.server.graceful_shutdown_timeout
    revealed = [p.api_key.reveal() for p in loaded.config.providers.values() if p.api_key is not None]
    assert revealed == (["sk-planted-1"] if case == "credentials" else [])
