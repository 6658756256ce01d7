"""A process uses the cores and the memory that its control groups leave to it, not those of the host."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models.training.control_groups import cores, free_memory
from models.training.processes import Processes

GIB = 2**30


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(f"{text}\n")


def two(tmp_path: Path) -> tuple[Path, Path]:
    """Return the folder and the list of groups of a process in the group /pod/box of version 2."""
    (tmp_path / "own").write_text("0::/pod/box\n")
    return tmp_path / "groups", tmp_path / "own"


@pytest.mark.parametrize(("quota", "count"), [("100000 100000", 1), ("150000 100000", 2), ("50000 100000", 1)])
def test_a_quota_of_the_own_group_or_of_one_above_limits_the_cores(
    tmp_path: Path, quota: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)))
    groups, own = two(tmp_path)
    write(groups / "pod" / "box", cpu__max="max 100000")
    assert cores(groups, own) == 64
    write(groups / "pod", cpu__max=quota)
    assert cores(groups, own) == count


def test_a_quota_of_version_1_limits_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)))
    (tmp_path / "own").write_text("3:memory:/\n2:cpu,cpuacct:/docker/1f\n")
    # The path is that of the host; a container sees its own group at the top.
    write(tmp_path / "groups" / "cpu", cpu__cfs_quota_us="400000", cpu__cfs_period_us="100000")
    assert cores(tmp_path / "groups", tmp_path / "own") == 4
    write(tmp_path / "groups" / "cpu", cpu__cfs_quota_us="-1")
    assert cores(tmp_path / "groups", tmp_path / "own") == 64


def test_affinity_limits_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5})
    groups, own = two(tmp_path)
    write(groups / "pod" / "box", cpu__max="800000 100000")
    assert cores(groups, own) == 2
    assert cores(groups, tmp_path / "no such file") == 2


def test_a_process_has_at_most_its_share_of_the_cores_as_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    monkeypatch.setattr("models.training.processes.cores", lambda: 8)
    Processes()
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    Processes()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)  # fewer, if OMP_NUM_THREADS says so
    Processes()
    assert threads == [8, 2, 1]


def test_memory_is_what_the_tightest_group_leaves_with_the_files_that_it_could_give_up(tmp_path: Path) -> None:
    groups, own = two(tmp_path)
    write(groups / "pod" / "box", memory__max="max", memory__current=str(GIB))
    assert free_memory(groups, own) is None
    write(groups / "pod", memory__max=str(4 * GIB), memory__current=str(3 * GIB))
    write(groups / "pod", memory__stat=f"anon 5\ninactive_file {GIB}")
    assert free_memory(groups, own) == 2 * GIB
    (tmp_path / "own").write_text("4:memory:/box\n")
    write(groups / "memory" / "box", memory__limit_in_bytes=str(2 * GIB), memory__usage_in_bytes=str(GIB))
    assert free_memory(groups, own) == GIB


@pytest.mark.parametrize("asked", ["", "active"])
def test_threads_wait_only_briefly_unless_the_environment_says_how(asked: str) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    program = "import os, sys, models; print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules)"
    environment = kept | ({"OMP_WAIT_POLICY": asked} if asked else {})
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["None" if asked else "10000", "False"]
