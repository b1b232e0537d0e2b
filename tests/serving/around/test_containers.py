"""Dockerfile, compose file and docs name only what exists: files, extras, options, limits and metrics."""

import inspect
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from langgraph_ratchet.cli.serve import app
from langgraph_ratchet.serving.limits import Limits

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def dockerfile() -> str:
    """Its instructions, each in one line."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    return "\n".join(line for line in text.splitlines() if line and not line.startswith("#"))


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    return found


@pytest.fixture(scope="module")
def page() -> str:
    return (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def options() -> set[str]:
    """Every option of `ratchet serve`."""
    return {name for given in get_command(app).params for name in (*given.opts, *given.secondary_opts)}


def test_what_is_copied_exists_and_is_not_ignored(dockerfile: str) -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [source for line in re.findall(r"^COPY (.+)$", dockerfile, re.MULTILINE) for source in line.split()[:-1]]
    assert copied
    for source in copied:
        assert (ROOT / source).exists(), source
        assert source in let_in, f"{source} is kept out by .dockerignore"


def test_what_is_installed_is_pinned_and_known(dockerfile: str) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    (installed,) = re.findall(r"/src\[([\w,]+)\]", dockerfile)
    assert {"local", "serve"} <= set(installed.split(",")) <= set(extras)
    assert re.search(r"^torch==\d", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)


def test_it_does_not_run_as_root(dockerfile: str) -> None:
    users = re.findall(r"^USER (\w+)$", dockerfile, re.MULTILINE)
    assert users == ["10001"]
    assert "useradd --create-home --uid 10001" in dockerfile


def test_the_health_that_is_asked_for_is_there(dockerfile: str) -> None:
    from langgraph_ratchet.serving.health import HEALTH

    (asked,) = re.findall(r"http://127\.0\.0\.1:(\d+)(/\w+)", dockerfile)
    assert asked == ("8000", HEALTH)
    assert '"--port", "8000"' in dockerfile


def test_commands_have_the_options_that_they_are_given(
    dockerfile: str, services: dict[str, Any], page: str, options: set[str]
) -> None:
    given = [re.findall(r"^CMD (.+)$", dockerfile, re.MULTILINE)[-1]]
    given += [
        " ".join(service["command"]) for name, service in services.items() if name != "vllm" and "command" in service
    ]
    given += re.findall(r"ratchet serve (--.+)$", page, re.MULTILINE)
    named = {option for command in given for option in re.findall(r"--[a-z-]+", command.partition("#")[0])}
    assert {"--host", "--engine", "--upstream"} <= named
    assert named <= options
    assert set(re.findall(r"`(--[a-z-]+)", page)) <= options


def test_what_compose_shares_lies_under_one_path(services: dict[str, Any]) -> None:
    ours, vllm = services["ratchet-vllm"], services["vllm"]
    assert "ratchet:/data" in ours["volumes"]
    assert "ratchet:/data:ro" in vllm["volumes"]
    assert vllm["environment"]["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "True"
    assert "--enable-lora" in vllm["command"]
    assert all(port.startswith("127.0.0.1:") for port in ours["ports"])
    drain = Limits().drain_seconds
    assert int(ours["stop_grace_period"].removesuffix("s")) > drain


def test_the_page_gives_the_limits_as_they_are(page: str) -> None:
    limits = Limits()
    for option, value in [
        ("--max-body", f"{limits.body_bytes:,} bytes"),
        ("--max-messages", f"{limits.messages:,}"),
        ("--max-running", f"{limits.running} requests"),
        ("--max-waiting", f"{limits.waiting} requests"),
        ("--drain-seconds", f"{limits.drain_seconds:g} s"),
    ]:
        assert f"| `{option}` | {value}" in page
    waits = f"Headers may take {limits.header_seconds:g} s, a body {limits.body_seconds:g} s"
    assert waits in page
    assert f"nothing for {limits.write_seconds:g} s" in page


def test_the_page_names_the_metrics_that_there_are(page: str) -> None:
    from langgraph_ratchet.serving import metrics, start
    from langgraph_ratchet.serving.proxy import app as proxy

    source = "".join(map(inspect.getsource, (metrics, start, proxy)))
    named = set(re.findall(r"`ratchet_(\w+)`", page))
    assert named
    for name in named:
        base = name.removesuffix("_total").removesuffix("_info")
        assert f'"ratchet_{base}"' in source or f'"{base}"' in source, name


def test_files_that_the_page_links_to_exist(page: str) -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", page) if "://" not in link]
    assert links
    assert all((ROOT / "docs" / link).is_file() for link in links)


def test_the_shell_lines_of_the_page_are_whole(page: str) -> None:
    lines = [line for block in re.findall(r"```bash\n(.*?)```", page, re.DOTALL) for line in block.splitlines()]
    assert any(shlex.split(line, comments=True)[:2] == ["ratchet", "serve"] for line in lines)
    for line in lines:
        shlex.split(line, comments=True)  # an open quotation mark is a ValueError
