"""The wheel does what it should in an environment that has never seen this repository.

The environment holds links to the dependencies that are installed here, and only to those that the extras ask for; the
wheel itself is installed by pip. (Downloading them anew instead takes minutes and needs the network.) Three things
prove that nothing is read from the repository: no path of the environment leads there, the package's modules lie in
the environment, and `sitecustomize` ends every process that opens or lists anything in the repository, its children
included. Reads by native code are not seen; what they are given are paths that Python made.
"""

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

EXTRAS = ("local", "logic", "problems")
GUARD = """
import os, sys

def _guard(event, arguments, repository={repository!r}, allowed={allowed!r}):
    if event in ("open", "os.listdir", "os.scandir") and isinstance(arguments[0], (str, bytes)):
        path = os.path.abspath(os.fsdecode(arguments[0]))
        if path.startswith(repository) and not path.startswith(allowed):
            sys.stderr.write("read from the repository: " + path + "\\n")
            sys.stderr.flush()
            os._exit(99)

sys.addaudithook(_guard)
"""


class Installed:
    """The wheel in an environment of its own, and an empty folder to work in."""

    def __init__(self, python: Path, folder: Path) -> None:
        self.python = python
        self.folder = folder
        self.site = next(python.parents[1].glob("lib/python*/site-packages"))

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs one of the environment's programs, with nothing of ours in its variables."""
        return subprocess.run(
            [self.python.with_name(program), *arguments],
            cwd=self.folder,
            env={name: os.environ[name] for name in os.environ if not name.startswith(("PYTHON", "VIRTUAL_ENV"))},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def installed(
    root: Path,
    wheel_file: Path,
    new_environment: Callable[[Path, Iterable[str]], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Installed:
    made = Installed(new_environment(tmp_path_factory.mktemp("environment"), EXTRAS), tmp_path_factory.mktemp("empty"))
    command = [sys.executable, "-m", "pip", "--python", str(made.python), "install", "--no-deps", "--no-index"]
    done = subprocess.run([*command, str(wheel_file)], cwd=made.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    guard = GUARD.format(repository=f"{root}{os.sep}", allowed=f"{Path(sys.prefix)}{os.sep}")
    (made.site / "sitecustomize.py").write_text(guard)
    return made


def test_the_guard_ends_a_process_that_reads_the_repository(installed: Installed, root: Path) -> None:
    assert installed.run("python", "-c", f"open({str(root / 'pyproject.toml')!r})").returncode == 99
    listing = f"import os; os.listdir({str(root / 'src')!r})"
    child = f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {listing!r}]))"
    assert installed.run("python", "-c", child).returncode == 99


def test_no_path_of_the_environment_leads_to_the_repository(installed: Installed, root: Path) -> None:
    code = "import json, sys, langgraph_ratchet as r; print(json.dumps([r.__file__, r.__version__, *sys.path]))"
    file, version, *paths = json.loads(installed.run("python", "-c", code).stdout)
    assert Path(file).is_relative_to(installed.site)
    assert version
    assert not [path for path in paths if Path(path).is_relative_to(root)]


def test_built_in_data_came_along(installed: Installed) -> None:
    code = (
        "import json\n"
        "from importlib.resources import files\n"
        "from langgraph_ratchet.cli.init import project_files\n"
        "from langgraph_ratchet.problems.generate import generate\n"
        "from langgraph_ratchet.problems.suites import load_suite, suites\n"
        "prompts = [p.name for p in (files('langgraph_ratchet.reasoning') / 'prompts').iterdir()]\n"
        "pocket = [p.name for p in (files('langgraph_ratchet.chat_models') / 'pocket').iterdir()]\n"
        "sizes = {name: len(generate(load_suite(name))) for name in suites()}\n"
        "print(json.dumps([sizes, prompts, pocket, [name for name, _ in project_files()]]))"
    )
    done = installed.run("python", "-c", code)
    assert done.returncode == 0, done.stderr
    sizes, prompts, pocket, project = json.loads(done.stdout)
    assert {"first_light", "first_light_practice", "quick", "quick_practice"} <= sizes.keys()
    assert all(sizes.values())
    assert any(name.endswith(".txt") for name in prompts)
    assert {"model.safetensors", "chat_template.jinja", "tokenizer.json"} <= set(pocket)
    assert {"langgraph.json", ".env.example", "graphs/reasoning.py"} <= set(project)


def test_doctor_finds_it_well(installed: Installed) -> None:
    done = installed.run("ratchet", "doctor", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = {(each["part"], each["name"]): each for each in json.loads(done.stdout)["findings"]}
    for extra in EXTRAS:
        assert found["extra", extra]["state"] == "ok"
    assert found["extra", "train"]["state"] == "lack"
    assert found["device", "torch"]["facts"]["device"] in ("cpu", "cuda")


def test_the_project_that_init_writes_can_be_imported(installed: Installed) -> None:
    assert installed.run("ratchet", "init", "mine").returncode == 0
    code = "import runpy; print(type(runpy.run_path('mine/graphs/reasoning.py')['graph']).__name__)"
    done = installed.run("python", "-c", code)
    assert done.stdout.strip() == "CompiledStateGraph", done.stderr


def test_a_quick_demo_goes_through_the_whole_loop(installed: Installed) -> None:
    done = installed.run("ratchet", "demo", "--quick", "--json", "--folder", "scratch")
    # Six pairs can never be enough to promote; which of the two others it is depends on what was learnt.
    assert done.returncode in (3, 4), done.stderr
    assert "too few for the gate to promote" in " ".join(done.stderr.split())
    figures: dict[str, Any] = json.loads(done.stdout)
    assert figures["decision"] == {3: "reject", 4: "not_enough_evidence"}[done.returncode]
    assert figures["n_heldout"] == 6
    assert figures["candidate"]
    assert (installed.folder / "scratch" / "models" / "versions" / figures["candidate"]).is_dir()


def test_the_source_distribution_builds_the_same_wheel(
    root: Path, wheel_file: Path, build_from: Callable[[str, Path, Path], Path], tmp_path: Path
) -> None:
    sdist = build_from("sdist", root, tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    again = build_from("wheel", source, tmp_path / "again")
    with zipfile.ZipFile(wheel_file) as first, zipfile.ZipFile(again) as second:
        assert set(first.namelist()) == set(second.namelist())
