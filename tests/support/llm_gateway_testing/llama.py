"""A real LLM server: llama.cpp (PyPI xllamacpp) on a tiny model of random weights that is made here.

The server runs in a process of its own, `python -m llm_gateway_testing.llama MODEL_FILE`, which prints its address.
What the model says is noise, any bytes at all, so answers may hold U+FFFD. Its tokens are bytes and printable ASCII.
"""

import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WIDTH = 64
FEED_FORWARD = 128
LAYERS = 2
HEADS = 4
CONTEXT = 512  # tokens, of one request
SLOTS = 4  # requests at once; more wait their turn
MODEL = "tiny"
INSTALL = ".venv/bin/python -m pip install --require-hashes --requirement requirements/dev.lock"
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6  # token types of GGUF
READY_LIMIT = 60.0  # seconds


def require(*packages: str) -> None:
    """Raises AssertionError with the command that installs what is missing."""
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    assert not missing, f"{' and '.join(missing)} not installed: run `{INSTALL}` (`make test` does)"


def tokens() -> list[tuple[str, int]]:
    """Text and type of each token, by number."""
    special = [("<unk>", UNKNOWN), ("<s>", CONTROL), ("</s>", CONTROL)]
    single_bytes = [(f"<0x{byte:02X}>", BYTE) for byte in range(256)]
    printable = [(chr(code), NORMAL) for code in range(0x20, 0x7F)]
    return special + single_bytes + printable


def write_model(path: Path) -> None:
    """A llama of random weights, about half a megabyte; the same file every time."""
    require("gguf")
    import gguf
    import numpy

    random = numpy.random.default_rng(1)
    writer = gguf.GGUFWriter(str(path), "llama")
    vocabulary = tokens()
    writer.add_context_length(CONTEXT * SLOTS)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(vocabulary))
    writer.add_tokenizer_model("llama")
    writer.add_token_list([text.encode() for text, _ in vocabulary])
    writer.add_token_scores([0.0] * len(vocabulary))
    writer.add_token_types([kind for _, kind in vocabulary])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    for name, shape in shapes(len(vocabulary)).items():
        weights = random.standard_normal(shape) * 0.3 if len(shape) > 1 else numpy.ones(shape)
        writer.add_tensor(name, weights.astype(numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def shapes(vocabulary: int) -> dict[str, tuple[int, ...]]:
    """Tensors by name, as llama.cpp names them."""
    found: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (vocabulary, WIDTH),
        "output_norm.weight": (WIDTH,),
        "output.weight": (vocabulary, WIDTH),
    }
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        found |= {f"{block}{name}.weight": (WIDTH,) for name in ("attn_norm", "ffn_norm")}
        found |= {f"{block}attn_{name}.weight": (WIDTH, WIDTH) for name in ("q", "k", "v", "output")}
        found |= {f"{block}ffn_{name}.weight": (FEED_FORWARD, WIDTH) for name in ("gate", "up")}
        found[f"{block}ffn_down.weight"] = (WIDTH, FEED_FORWARD)
    return found


@contextmanager
def llama(folder: Path) -> Iterator[str]:
    """The base URL of a llama.cpp server for the length of a `with`; the model file is made in `folder` once."""
    require("xllamacpp")
    model = folder / "tiny.gguf"
    if not model.exists():
        write_model(model)
    log = folder / "llama.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, str(model)],
            stdout=subprocess.PIPE,
            stderr=errors,
            stdin=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        )
    watchdog = threading.Timer(READY_LIMIT, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        line = next((line for line in process.stdout if line.startswith(b"http://")), b"")
        watchdog.cancel()
        assert line, f"llama.cpp did not start:\n{log.read_text(errors='replace')[-2000:]}"
        yield f"{line.decode().strip()}/v1"
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()


def serve(model: str) -> None:
    """Serve until standard input ends, as it does when the test run dies."""
    import xllamacpp  # type: ignore[import-untyped]  # it has no stubs

    parameters = xllamacpp.CommonParams()
    parameters.model.path = model
    parameters.model_alias = {MODEL}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.n_ctx = CONTEXT * SLOTS
    parameters.n_parallel = SLOTS
    parameters.cpuparams.n_threads = 1
    parameters.cpuparams_batch.n_threads = 1
    parameters.n_threads_http = SLOTS + 1
    parameters.warmup = False
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    serve(sys.argv[1])
