"""The folders show the architecture: flows -> tasks -> models -> data, never up; web stands on data alone."""

import ast
import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.groups import LONGEST_FIRST

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("flows", "web", "tasks", "models", "data")
LOADS = ("from_pretrained", "from_config")  # of transformers
FORBIDDEN = {
    "data": {"torch", "transformers", "accelerate", "prefect"},
    "models": {"prefect", "boto3"},
    "tasks": {"typer"},
    "web": {"tasks", "models", "torch", "transformers", "accelerate", "prefect", "boto3"},
    "flows": {"torch", "transformers"},
}

# The packages inside data/ and models/, lowest floor first: a file imports its own package and those of lower floors.
FLOORS = {
    "data": [
        ["errors", "paths", "escape", "console", "measures"],
        ["canonical", "answers", "plain_file"],
        ["shapes"],
        ["store", "campaign", "render"],
        ["batches", "cord", "base_check"],
        ["labels", "simulation", "exchange"],
        ["quality", "runs", "page"],
        ["ingest", "evaluation"],
        ["rounds"],
        ["reports"],
    ],
    "models": [
        ["training"],
        ["lm"],
        ["reward", "supervised", "card"],
        ["ppo", "questions", "evaluation"],
        ["monitoring", "base_check"],
        ["steps"],
    ],
}


def imported(source: str) -> Iterator[str]:
    """Yield the top-level packages that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield (node.module or "").split(".")[0]


def faults(layer: str, source: str) -> list[str]:
    """Name what a module of a layer may not import."""
    above = set(LAYERS[: LAYERS.index(layer)])
    return sorted(set(imported(source)) & (above | FORBIDDEN[layer] | {"tests", "base", "bench"}))


@pytest.mark.parametrize("layer", LAYERS)
def test_no_layer_imports_upwards(layer: str) -> None:
    files = sorted((ROOT / layer).rglob("*.py"))
    assert files, f"{layer}/ is empty"
    found = {str(file.relative_to(ROOT)): faults(layer, file.read_text()) for file in files}
    assert not {file: names for file, names in found.items() if names}


def packages(layer: str, source: str) -> set[str]:
    """Return the packages of its own layer that a module imports."""
    names = set[str]()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == layer:
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{layer}."):
            names.add(str(node.module).split(".")[1])
        elif isinstance(node, ast.Import):
            names |= {parts[1] for alias in node.names if (parts := alias.name.split("."))[0] == layer and parts[1:]}
    return names


@pytest.mark.parametrize("layer", FLOORS)
def test_no_package_imports_a_higher_floor(layer: str) -> None:
    floor_of = {package: number for number, floor in enumerate(FLOORS[layer]) for package in floor}
    there = {path.stem for path in (ROOT / layer).iterdir() if (path / "__init__.py").exists() or path.suffix == ".py"}
    assert there - {"__init__"} == set(floor_of), "every package has its floor"
    wrong = []
    for file in sorted((ROOT / layer).rglob("*.py")):
        own = file.relative_to(ROOT / layer).parts[0].removesuffix(".py")
        if own != "__init__":
            others = packages(layer, file.read_text()) - {own}
            wrong += [f"{file.relative_to(ROOT)} -> {other}" for other in others if floor_of[other] >= floor_of[own]]
    assert wrong == []


def modules() -> dict[str, set[str]]:
    """Return what each module of the layers imports from the layers, by dotted name, wherever in it."""
    names = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
        for layer in LAYERS
        for file in (ROOT / layer).rglob("*.py")
    }
    graph = {}
    for name, file in names.items():
        found = set[str]()
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
            elif isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
        graph[name] = (found & names.keys()) - {name}
    return graph


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Return modules that import each other in a circle; empty if there is none."""
    rest = {name: set(others) for name, others in graph.items()}
    while free := [name for name, others in rest.items() if not others & rest.keys()]:
        for name in free:
            del rest[name]
    return sorted(rest)


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = modules()
    assert len(graph) > 200 and circle(graph) == []
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}, "e": set()}) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("layer", FLOORS)
def test_no_file_is_too_long_to_read(layer: str) -> None:
    lengths = {file: len(file.read_text().splitlines()) for file in (ROOT / layer).rglob("*.py")}
    assert {str(file): lines for file, lines in lengths.items() if lines > 260} == {}


def test_keys_of_the_store_are_made_in_one_file() -> None:
    made = re.compile(r'"campaigns/\{|"key/samples')
    files = [file for layer in LAYERS for file in (ROOT / layer).rglob("*.py") if made.search(file.read_text())]
    assert [str(file.relative_to(ROOT)) for file in files] == ["data/paths.py"]


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the parameters of a function, self or cls aside."""
    every = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
    rest = [argument for argument in (function.args.vararg, function.args.kwarg) if argument is not None]
    return sum(argument.arg not in ("self", "cls") for argument in every + rest)


def is_interface(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether the parameters are options of a command or the form of a flow."""
    names = [ast.unparse(decorator) for decorator in function.decorator_list]
    return any(name.split("(")[0] in ("flow", "app.command") or ".command(" in name for name in names)


@pytest.mark.parametrize("layer", ["models", "data", "tasks", "flows"])
def test_no_function_takes_more_than_eight_parameters(layer: str) -> None:
    functions = [
        (f"{file.relative_to(ROOT)}: {node.name}", node)
        for file in sorted((ROOT / layer).rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not is_interface(node)
    ]
    assert len(functions) > 20
    assert {name: count for name, node in functions if (count := parameters(node)) > 8} == {}


def test_the_rule_finds_what_it_forbids() -> None:
    assert faults("data", "def f():\n    from models.lm.base import open_base\n") == ["models"]
    assert faults("models", "import prefect.flows") == ["prefect"]
    assert faults("flows", "from tasks.labels import x\nimport data.store") == []


@pytest.mark.parametrize("name", LAYERS)
def test_the_names_are_this_trees(name: str) -> None:
    spec = importlib.util.find_spec(name)
    assert spec is not None and spec.origin is not None
    assert Path(spec.origin).resolve().is_relative_to(ROOT)


def test_no_flow_hides_an_importable_module() -> None:
    # Run as a script, a flow's folder comes first on the path: flows/prefect.py would be imported as prefect.
    installed = set(sys.stdlib_module_names) | set(importlib.metadata.packages_distributions())
    names = {file.stem for file in (ROOT / "flows").rglob("*.py")} - {"__init__", "__main__"}
    assert {"queue", "prefect"} <= installed, "the list of what could be hidden is not empty"
    assert sorted(names & installed) == []


def test_child_processes_are_started_with_andons_own_packages_first() -> None:
    files = {file for layer in LAYERS for file in (ROOT / layer).rglob("*.py") if "sys.executable" in file.read_text()}
    assert [str(file.relative_to(ROOT)) for file in files] == [], "use andon_launcher.command"


def loads_without_a_word_on_code(source: str) -> list[str]:
    """Return the calls that load a checkpoint and do not say trust_remote_code=False."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    loads = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr in LOADS]
    loads += [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "pipeline"]
    refused = "trust_remote_code=False"
    return [ast.unparse(call) for call in loads if refused not in [ast.unparse(word) for word in call.keywords]]


def test_no_call_in_the_tree_lets_a_checkpoint_run_code() -> None:
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    sources = {name: (ROOT / name).read_text() for name in listed.split() if (ROOT / name).is_file()}
    assert {name: calls for name, source in sources.items() if (calls := loads_without_a_word_on_code(source))} == {}
    assert loads_without_a_word_on_code("Auto.from_pretrained(x, trust_remote_code=None)"), "the rule finds them"


def test_every_module_says_what_it_is() -> None:
    files = [file for layer in LAYERS for file in (ROOT / layer).rglob("*.py")]
    assert [str(file) for file in files if not ast.get_docstring(ast.parse(file.read_text()))] == []


def test_no_path_of_a_machine_is_in_the_tree() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    binary = {".xz", ".parquet", ".safetensors", ".png", ".gz"}
    personal = re.compile(r"(?<![\w.])/(?:home|Users|root|work|tmp|mnt)/\w")
    texts = {
        name: (ROOT / name).read_text()
        for name in listed
        if Path(name).suffix not in binary and (ROOT / name).is_file()
    }
    assert {name: match.group() for name, text in texts.items() if (match := personal.search(text))} == {}


def planned(target: str) -> str:
    """Return the commands that make would run for a target."""
    return subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_make_test_runs_every_marked_group_but_the_one_of_eight_minutes() -> None:
    marked = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["markers"]
    groups = {marker.split(":")[0] for marker in marked} - {"slow"}  # which is part of other groups
    (run,) = re.findall(r'pytest .*-m "not deployments" --groups (\S+)$', planned("test"), re.MULTILINE)
    assert set(run.split(",")) == groups - {"deployments"} | {"slow", "unmarked"}, "one of them without a test fails"
    assert set(LONGEST_FIRST) == groups | {"slow", "unmarked"}
    assert set(re.findall(r"not (\w+)", planned("check"))) == groups | {"slow"}
