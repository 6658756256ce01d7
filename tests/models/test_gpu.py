"""A GPU that is there and not used is told, and a GPU that is required and not there is a refusal."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from data.console import LOGGER
from data.errors import Refused
from models.lm import gpu
from models.lm.base import best_device


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(gpu, "DRIVER", ())
    monkeypatch.setattr(LOGGER, "propagate", True)
    monkeypatch.delenv("NVIDIA_VISIBLE_DEVICES", raising=False)
    gpu.check_processor.cache_clear()
    yield
    gpu.check_processor.cache_clear()


def test_a_machine_without_a_gpu_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "andon")
    assert best_device().type == "cpu" and caplog.messages == []


@pytest.mark.parametrize("cuda, advice", [(None, "install a build with CUDA"), ("13.0", "driver for CUDA 13.0")])
def test_a_gpu_that_is_not_used_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path, cuda: str | None, advice: str
) -> None:
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(gpu, "DRIVER", (tmp_path,))
    caplog.set_level(logging.INFO, "andon")
    assert [best_device().type, best_device().type] == ["cpu", "cpu"]
    (line,) = caplog.messages
    assert "WARNING" in line and advice in line


def test_without_a_required_gpu_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(gpu.REQUIRED, "1")
    for _ in range(2):
        with pytest.raises(Refused, match="ANDON_REQUIRE_GPU"):
            best_device()
    monkeypatch.setenv(gpu.REQUIRED, "0")
    assert best_device().type == "cpu"
