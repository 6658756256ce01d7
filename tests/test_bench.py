"""Every benchmark says with `--help` what it measures, and starts nothing: the work itself is no test."""

import ast
import re
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS = sorted(
    ".".join(file.relative_to(ROOT).with_suffix("").parts)
    for file in (ROOT / "bench").glob("*/*.py")
    if '__name__ == "__main__"' in file.read_text()
)


@pytest.mark.slow
@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_explains_itself(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(name, run_name="__main__")
    assert not ended.value.code
    described = ast.get_docstring(ast.parse(ROOT.joinpath(*name.split(".")).with_suffix(".py").read_text()))
    out = capsys.readouterr().out
    assert f"usage: python -m {name}" in out and described and described in out


def test_the_makefile_runs_benchmarks_that_exist() -> None:
    called = set(re.findall(r"-m (bench[\w.]+)", (ROOT / "Makefile").read_text()))
    assert len(called) > 10 and called <= set(BENCHMARKS)
