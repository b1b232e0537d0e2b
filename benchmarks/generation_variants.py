"""The ways of generating that `generation.py` compares. Each writes the same number of tokens for each call."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import torch
from generation_workloads import CONCURRENT, Run, Wanted, in_waves
from transformers import StoppingCriteria, StoppingCriteriaList

from langgraph_ratchet.chat_models.base import Base, load_base
from langgraph_ratchet.chat_models.engine import Engine, Request

STATIC, CLIENTS = 64, 32
_START_S = 180.0


class EndlessBase(Base):
    """A base without an end-of-turn token, so that every variant writes the same number of tokens."""

    @property
    def end_ids(self) -> frozenset[int]:
        """None: rows end at their length only."""
        return frozenset()


def endless(dtype: str) -> Base:
    """The pocket model, which never ends by itself."""
    base = load_base("pocket", dtype=dtype, device="cpu")
    base.model.generation_config.eos_token_id = None
    return EndlessBase(base.name, base.path, base.model, base.tokenizer, base.fingerprint)


class PerRowLength(StoppingCriteria):
    """Stops each row of a static batch at its own length."""

    def __init__(self, lengths: Sequence[int], prompt: int) -> None:
        self.limits = torch.tensor(lengths) + prompt

    def __call__(self, input_ids: torch.Tensor, scores: object, **kwargs: object) -> torch.Tensor:
        """Which rows are long enough."""
        return self.limits <= input_ids.shape[1]


def static(base: Base, runs: Sequence[Run], size: int = STATIC) -> None:
    """Left-padded batches of fixed size in the order of arrival; each goes on until its longest row is done."""
    wanted = in_waves(runs)
    for start in range(0, len(wanted), size):
        part = wanted[start : start + size]
        width = max(len(item.prompt) for item in part)
        ids = torch.tensor([[0] * (width - len(item.prompt)) + list(item.prompt) for item in part])
        mask = torch.tensor([[0] * (width - len(item.prompt)) + [1] * len(item.prompt) for item in part])
        lengths = [item.tokens for item in part]
        with torch.inference_mode():
            written = base.model.generate(
                input_ids=ids,
                attention_mask=mask,
                do_sample=False,
                max_new_tokens=max(lengths),
                stopping_criteria=StoppingCriteriaList([PerRowLength(lengths, width)]),
            )
        assert written.shape[1] == width + max(lengths)


def one_at_a_time(base: Base, runs: Sequence[Run]) -> None:
    """A `generate` call for every request."""
    static(base, runs, 1)


def engine(base: Base, runs: Sequence[Run]) -> None:
    """64 threads, each of which makes the calls of one run in order, and then takes the next run."""
    running = Engine(replace(base))
    try:
        in_parallel(runs, CONCURRENT, asking(running))
    finally:
        running.close()


def asking(running: Engine) -> Callable[[Wanted, str], None]:
    """Makes a call of a run, and waits for it."""

    def ask(call: Wanted, run: str) -> None:
        assert len(running.submit(Request(call.prompt, call.tokens, run=run)).result().ids) == call.tokens

    return ask


def in_parallel(runs: Sequence[Run], width: int, ask: Callable[[Wanted, str], None]) -> None:
    """Makes the calls of `width` runs at a time."""
    left = deque(runs)

    def work(_: int) -> None:
        while left:
            try:
                run = left.popleft()
            except IndexError:
                return
            for call in run:
                ask(call, str(id(run)))

    with ThreadPoolExecutor(width) as pool:
        list(pool.map(work, range(width)))


class Serve:
    """A running `transformers serve`, and the clients that ask it."""

    def __init__(self, url: str, model: str, base: Base, process: "subprocess.Popen[bytes]") -> None:
        self._url, self._model, self._base, self._process = url, model, base, process
        self._client = httpx.Client(timeout=600, limits=httpx.Limits(max_connections=CLIENTS))

    def __call__(self, base: Base, runs: Sequence[Run]) -> None:
        """32 clients that each make the calls of one run after the other."""
        in_parallel(runs, CLIENTS, lambda call, run: self._post(call))

    def _post(self, call: Wanted) -> None:
        body = {
            "model": self._model,
            "prompt": self._base.tokenizer.decode(call.prompt),
            "max_tokens": call.tokens,
            "temperature": 0.0,
        }
        reply = self._client.post(self._url, json=body)
        reply.raise_for_status()
        usage = reply.json()["usage"]
        assert usage["completion_tokens"] == call.tokens, usage

    def cpu_seconds(self) -> float:
        """Processor time of the server so far; 0 where the system does not tell."""
        try:
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(base: Base, threads: int) -> Iterator[Serve]:
    """`transformers serve` with continuous batching, on a copy of the model that never ends by itself."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as taken:
        model = Path(folder) / "endless"
        shutil.copytree(base.path, model)
        for name in ("config.json", "generation_config.json"):
            settings = json.loads((model / name).read_text())
            settings["eos_token_id"] = None
            (model / name).write_text(json.dumps(settings))
        (Path(folder) / "cache" / "hub").mkdir(parents=True)
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        taken.close()
        command = [str(Path(sys.executable).with_name("transformers")), "serve", str(model), "--device", "cpu"]
        command += ["--port", str(port), "--continuous-batching", "--cb-num-blocks", "400"]
        command += ["--cb-block-size", "64", "--cb-max-batch-tokens", "512", "--log-level", "error"]
        offline = {"HF_HOME": f"{folder}/cache", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(threads)}
        log = Path(folder) / "log"
        with log.open("wb") as said:
            process = subprocess.Popen(command, env=os.environ | offline, stdout=said, stderr=said)
        try:
            _wait(f"http://127.0.0.1:{port}/health", process, log)
            yield Serve(f"http://127.0.0.1:{port}/v1/completions", str(model), base, process)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(url).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise SystemExit(f"`transformers serve` did not start; it said:\n{log.read_text()[-2000:]}")
