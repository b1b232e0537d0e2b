"""What `pip install langgraph-ratchet` gives, without an extra: it works, and what it lacks names the extra."""

import ast
import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from packaging.utils import canonicalize_name

import langgraph_ratchet

Dependencies = Callable[[Iterable[str]], set[str]]

OWN_MODEL = """
from langchain_core.language_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage
from langgraph_ratchet import create_reasoner, get_tools

class Mine(FakeMessagesListChatModel):
    def bind_tools(self, tools, **kwargs):
        return self

call = {"name": "calculator", "args": {"expression": "2 + 3"}, "id": "1"}
replies = ["1. Add.", "direct", AIMessage("", tool_calls=[call]), "It is 5.", "5", "yes"]
model = Mine(responses=[reply if isinstance(reply, AIMessage) else AIMessage(reply) for reply in replies])
tools = get_tools()
assert [tool.name for tool in tools] == ["calculator", "clock", "documents"]  # logic needs an extra
found = create_reasoner(model, tools=tools).compile().invoke({"messages": [("user", "2 + 3?")]})
print(found["answer"])
"""


def run(python: Path, *arguments: str, cwd: Path, status: int = 0) -> str:
    """Standard output of an interpreter of another environment, in a folder that is not the repository."""
    done = subprocess.run([python, *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    return done.stdout


COMMAND = ("-c", "from langgraph_ratchet.cli import main; main()")


def test_the_environment_holds_no_extra(base_install: Path, tmp_path: Path) -> None:
    code = "import importlib.util as u, json; print(json.dumps([n for n in %r if u.find_spec(n)]))"
    names = ["torch", "transformers", "peft", "reasoning_gym", "langchain", "z3", "numpy", "pytest", "langgraph"]
    assert json.loads(run(base_install, "-c", code % names, cwd=tmp_path)) == ["langgraph"]


def test_every_public_name_resolves(base_install: Path, tmp_path: Path) -> None:
    code = "import langgraph_ratchet as r\nfor name in r.__all__: getattr(r, name); print(name)"
    assert run(base_install, "-c", code, cwd=tmp_path).split() == langgraph_ratchet.__all__


def test_the_command_starts(base_install: Path, tmp_path: Path) -> None:
    shown = run(base_install, *COMMAND, "--help", cwd=tmp_path)
    for verb in ("demo", "solve", "improve", "eval", "models", "rollback", "traces", "init", "doctor"):
        assert verb in shown


def test_the_graph_runs_on_a_users_model(base_install: Path, tmp_path: Path) -> None:
    assert run(base_install, "-c", OWN_MODEL, cwd=tmp_path) == "5\n"


def test_doctor_finds_the_base_well_and_says_how_to_get_the_rest(base_install: Path, tmp_path: Path) -> None:
    said = json.loads(run(base_install, *COMMAND, "doctor", "--json", cwd=tmp_path))
    found = {(each["part"], each["name"]): each for each in said["findings"]}
    assert said["healthy"]
    assert found["install", "base"]["state"] == "ok"
    for extra in ("local", "problems", "openai", "logic"):
        assert found["extra", extra]["state"] == "lack"
        assert found["extra", extra]["fix"] == f"pip install 'langgraph-ratchet[{extra}]'"
    assert "torch is missing" in found["extra", "local"]["said"]
    assert found["device", "torch"]["state"] == "lack"
    assert not list(tmp_path.iterdir())


def test_init_writes_a_project_and_says_what_to_install(base_install: Path, tmp_path: Path) -> None:
    said = json.loads(run(base_install, *COMMAND, "init", "mine", "--json", cwd=tmp_path))
    assert (tmp_path / "mine" / "langgraph.json").is_file()
    assert "pip install 'langgraph-ratchet[local,logic,problems]'" in said["next"]


# Every optional import, by the door through which a user comes to it. What a door's code meets first is what it names.
DOORS = {
    "local": {
        "solve": (
            "from langgraph_ratchet import ChatTransformers; ChatTransformers(model='pocket').invoke('hi')",
            "chat_models.adapters chat_models.base chat_models.engine.attention chat_models.engine.batch "
            "chat_models.engine.blocks chat_models.engine.decoder chat_models.engine.engine chat_models.engine.kv "
            "chat_models.engine.memory chat_models.engine.request chat_models.engine.sampling chat_models.engine.saved "
            "chat_models.engine.worker "
            "chat_models.text.parse chat_models.text.render",
        ),
        "hub": (
            "import langgraph_ratchet as r; r.resolve_model('hf:some/model').invoke('hi')",
            "chat_models.base chat_models.hub",
        ),
        "constrain": (
            "from langgraph_ratchet.chat_models.constrained import constrain_json; constrain_json(None, None)",
            "chat_models.constrained.closing chat_models.constrained.either chat_models.constrained.leaf "
            "chat_models.constrained.markers chat_models.constrained.tool_format chat_models.constrained.vocabulary",
        ),
        "export": (
            "from pathlib import Path\n"
            "from langgraph_ratchet.registry import Registry\n"
            "from langgraph_ratchet.training.export.source import find_source\n"
            "find_source(None, Registry(Path('models')), 'pocket')",
            "training.export.folder training.export.merged training.export.modelfile training.export.peft_folder "
            "training.export.source",
        ),
        "train": (
            "from pathlib import Path\n"
            "from langgraph_ratchet.training.job import Job\n"
            "from langgraph_ratchet.training.run import run_job\n"
            "Path('dataset.json').write_text('{}')\n"
            "run_job(Job(base='pocket', dataset=Path('dataset.json'), out=Path('out/adapter')))",
            "training.adapter training.batches training.checkpoint training.sft training.token_losses",
        ),
        "report": (
            "from langgraph_ratchet.evaluation.report.render import render; render(None)",
            "evaluation.report.render",
        ),
    },
    "gguf": {
        "export": (
            "from langgraph_ratchet.training.export.gguf_model import write_gguf; write_gguf(None, None, None, None)",
            "training.export.gguf_model training.export.gguf_vocabulary",
        )
    },
    "openai": {
        "provider": ("import langgraph_ratchet as r; r.resolve_model('openai:gpt-5')", "chat_models.resolver"),
        "vllm": (
            "import langgraph_ratchet as r; r.resolve_model('vllm:x@http://localhost:8000')",
            "chat_models.chat_vllm",
        ),
    },
    "serve": {
        "server": (
            "from typer.main import get_command\n"
            "from langgraph_ratchet.cli.serve import app\n"
            "get_command(app)(['--port', '0'], standalone_mode=False)",
            "serving.admission serving.app serving.authentication serving.connection serving.health serving.metrics "
            "serving.openai.body serving.openai.chat serving.openai.completions serving.openai.errors "
            "serving.openai.models serving.openai.routes serving.openai.streaming serving.proxy.app "
            "serving.proxy.completions serving.proxy.relay serving.server serving.start serving.surroundings",
        )
    },
    "web": {
        "fetch": ("import langgraph_ratchet as r; r.get_tools('web_fetch')", "tools.web.page"),
        "search": ("import langgraph_ratchet as r; r.get_tools('web_search')", "tools.web_search"),
    },
    "memory": {
        "tool": (
            "import langgraph_ratchet as r; r.get_tools('recall')",
            "tools.memory.embedding tools.memory.probe tools.memory.store",
        )
    },
    "mcp": {
        "tools": (
            "import json, sys\n"
            "from pathlib import Path\n"
            "import langgraph_ratchet as r\n"
            "server = {'command': sys.executable, 'args': ['-c', 'pass']}\n"
            "Path('servers.json').write_text(json.dumps({'mcpServers': {'some': server}}))\n"
            "r.get_tools('mcp:servers.json')",
            "tools.mcp.http tools.mcp.offers tools.mcp.server tools.mcp.session tools.mcp.stdio tools.mcp.tool",
        ),
        "server": (
            "from typer.main import get_command\n"
            "from langgraph_ratchet.cli.mcp import app\n"
            "get_command(app)([], standalone_mode=False)",
            "serving.mcp.approval serving.mcp.http serving.mcp.server serving.mcp.stdio",
        ),
    },
    "logic": {"tool": ("import langgraph_ratchet as r; r.get_tools('logic')", "tools.logic.solve")},
    "problems": {
        "generate": (
            "from langgraph_ratchet.problems.generate import generate\n"
            "from langgraph_ratchet.problems.suites import load_suite\n"
            "generate(load_suite('quick'))",
            "problems.procedural.chain_sum",
        )
    },
}
NO_DOOR = {
    # LangGraph's server loads it, and brings starlette.
    "serving.studio",
    # Only scripts/make_pocket.py uses these: a contributor's, who has the extra `dev`.
    "synthesis.corpus",
    "training.initialisation",
    "training.pretrain",
    "training.replicas",
    "training.samples",
    "training.tokenizer",
}

KNOCK = """
import json, sys, traceback
from langgraph_ratchet.core.errors import MissingExtraError
said = {}
for name, code in json.loads(sys.argv[1]).items():
    try:
        exec(code, {})
    except MissingExtraError as error:
        said[name] = str(error)
    except BaseException:
        said[name] = traceback.format_exc()
    else:
        said[name] = "no error"
print(json.dumps(said))
"""


def test_every_missing_extra_is_named(base_install: Path, tmp_path: Path) -> None:
    codes = {f"{extra} {name}": code for extra, doors in DOORS.items() for name, (code, _) in doors.items()}
    said = json.loads(run(base_install, "-c", KNOCK, json.dumps(codes), cwd=tmp_path).splitlines()[-1])
    for name, message in said.items():
        extra = name.split()[0]
        assert message.endswith(f"needs the extra '{extra}': pip install 'langgraph-ratchet[{extra}]'"), message


def test_the_command_says_it_in_one_line(base_install: Path, tmp_path: Path) -> None:
    command = [base_install, *COMMAND, "solve", "2 + 3?"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")
    assert "pip install 'langgraph-ratchet[" in done.stderr


def test_every_optional_import_has_its_door(package: Path, dependencies: Dependencies) -> None:
    behind: dict[str, set[str]] = {}
    for extra, doors in DOORS.items():
        for _, modules in doors.values():
            for module in modules.split():
                behind.setdefault(module, set()).add(extra)
    found = dict(optional_imports(package, dependencies(())))
    assert set(found) == set(behind) | NO_DOOR
    for module in set(found) - NO_DOOR:
        for extra in behind[module]:
            brought = dependencies([extra])
            assert all(owners & brought for owners in found[module].values()), f"{module} needs more than {extra}"


def optional_imports(package: Path, base: set[str]) -> Iterator[tuple[str, dict[str, set[str]]]]:
    """Modules that import what the base install does not bring; each import with the distributions it may come from."""
    owners = {
        top: {canonicalize_name(name) for name in names}
        for top, names in importlib.metadata.packages_distributions().items()
    }
    for path in sorted(package.rglob("*.py")):
        tops = {name.partition(".")[0] for name in imported(ast.parse(path.read_text(encoding="utf-8")))}
        outside = {top: owners.get(top, {top}) for top in tops - sys.stdlib_module_names - {package.name}}
        optional = {top: names for top, names in outside.items() if not names & base}
        if optional:
            yield ".".join(path.relative_to(package).with_suffix("").parts), optional


def imported(tree: ast.AST) -> Iterator[str]:
    """Modules that are imported when the code runs: those for type checkers alone are left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
        yield from imported(node)
