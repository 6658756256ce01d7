"""Checkpoints from elsewhere: none runs code, and a broken one is one line (kinds 68 and 69 of docs/bad-input.md)."""

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from data.errors import Refused
from models.lm.base import open_base

WEIGHTS = "model.safetensors"


class Trap:
    """A pickle that writes a file when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.path,)


def test_kind_68_a_pickle_is_not_opened(tiny_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_folder, tmp_path / "base")
    (tmp_path / "base" / WEIGHTS).unlink()
    for name in ("pytorch_model.bin", "model.pt"):
        (tmp_path / "base" / name).write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(Refused, match="cannot be loaded") as refusal:
        open_base(str(tmp_path / "base"))
    assert "\n" not in str(refusal.value) and not (tmp_path / "sprung").exists()
    pickle.loads((tmp_path / "base" / "pytorch_model.bin").read_bytes())
    assert (tmp_path / "sprung").exists(), "the trap works"


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda whole: whole[: len(whole) // 2],
    "a header of a terabyte": lambda whole: (1 << 40).to_bytes(8, "little") + whole[8:],
    "more after its end": lambda whole: whole + bytes(1000),
    "a pickle": lambda whole: pickle.dumps({"weights": list(whole[:100])}),
    "nothing": lambda whole: b"",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_kind_69_broken_safetensors_are_refused_in_one_line(kind: str, tiny_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_folder, tmp_path / "base")
    weights = tmp_path / "base" / WEIGHTS
    weights.write_bytes(BROKEN[kind](weights.read_bytes()))
    with pytest.raises(Refused, match="cannot be loaded") as refusal:
        open_base(str(tmp_path / "base"))
    assert "\n" not in str(refusal.value)
