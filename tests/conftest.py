"""Shared by all tests: a tiny real language model, a campaign small enough to run, an ephemeral Prefect."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

# Before torch is imported by any test, and for the processes that tests start: two workers share two cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Before Prefect is imported by any test.
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
# Equality to 1e-4 is a promise of fp32; what bf16 may change has a test of its own (test_precision.py).
os.environ["ANDON_PRECISION"] = "fp32"

import hypothesis

from data.campaign import Campaign, load_campaign
from data.canonical import content_id
from data.labels.label_sets import freeze
from tests.support import prefect_home, seaweed
from tests.support.command import Andon, on_store, tiny_campaign, write_queries
from tests.support.history import Made, weighed
from tests.support.prefect_home import Furnish
from tests.support.vendor import Round

if TYPE_CHECKING:  # the process that only hands tests out to workers does without torch
    from models.lm.base import Base

# The same examples in every run, and no test may expect a speed.
hypothesis.settings.register_profile("andon", deadline=None, derandomize=True)
hypothesis.settings.load_profile("andon")

pytest_plugins = ["tests.support.groups"]
MadeOnce = Callable[[str, Callable[[Path], None]], Path]
TINY = {
    "batch": {"questions": 12},
    "reward": {"batch": 4, "normalisation_samples": 64},
    "policy": {"episodes": 64, "batch": 32, "micro_batch": 4},
    "evaluation": {"queries": 16},
}


@pytest.fixture(autouse=True)
def _seeded() -> None:
    import torch

    torch.set_num_threads(1)  # the models are too small for more
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANDON_STATE", str(tmp_path / "state"))  # pulls are spooled here, not in the user's home


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> MadeOnce:
    """Make a folder once for all workers of a session: the first that asks makes it, and the others wait."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if hasattr(pytestconfig, "workerinput") else own  # a worker's lies in the session's

    def made(name: str, make: Callable[[Path], None]) -> Path:
        folder, whole = shared / name, shared / f"{name}.whole"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not whole.exists():
                shutil.rmtree(folder, ignore_errors=True)  # of a worker that failed on its way
                folder.mkdir()
                make(folder)
                whole.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def tiny_folder(made_once: MadeOnce) -> Path:
    """A GPT-2 of two layers with random weights and the embedded tokenizer, as a checkpoint folder."""
    return made_once("tiny", write_tiny_base)


def write_tiny_base(folder: Path) -> None:
    import torch
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    from models.lm.base import EMBEDDED

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(EMBEDDED, trust_remote_code=False)
    config = GPT2Config(
        vocab_size=len(tokenizer), n_positions=128, n_embd=32, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0
    )
    model = GPT2LMHeadModel(config)
    with torch.no_grad():  # spread the logits, so that temperature and truncation have something to bite on
        model.transformer.wte.weight *= 4
        model.transformer.ln_f.bias[:] = 18 * model.transformer.wte.weight[tokenizer.convert_tokens_to_ids(".")]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_queries(folder)


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> "Base":
    from models.lm.base import open_base

    return open_base(str(tiny_folder))


@pytest.fixture(scope="session")
def tiny_llama(tiny: "Base") -> "Base":
    """The same size with rotary positions and grouped keys: nothing may know GPT-2's inner names."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from models.lm.base import Base, best_device, fingerprint

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tiny.tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = LlamaForCausalLM(config).eval().requires_grad_(False).to(best_device())
    return Base("tiny-llama", model, tiny.tokenizer, fingerprint(model), tiny.vocabulary)


@pytest.fixture
def campaign(tiny_folder: Path) -> Campaign:
    """The sentiment campaign on the tiny model, with sizes of a test."""
    return load_campaign("sentiment", changes={"base": str(tiny_folder), **TINY})


@pytest.fixture
def sent(tmp_path: Path) -> Round:
    """A published batch that waits for answers."""
    return Round(tmp_path)


@pytest.fixture
def campaign_c(campaign: Campaign) -> Campaign:
    return campaign.model_copy(update={"name": "c"})


@pytest.fixture
def run(sent: Round) -> Made:
    """Publish a run on accepted labels, with the lower bounds of its win rates, and return its evaluation."""
    sent.deliver(sent.answers())
    label_set = freeze(sent.store, "c")
    return lambda name, low, beside=None, champion_low=0.0: weighed(sent, label_set, name, low, beside, champion_low)


@pytest.fixture(scope="session")
def furnish(made_once: MadeOnce) -> Furnish:
    """Put a new database into a home of Prefect, whose server then need not make it."""
    return partial(prefect_home.furnish, made_once("prefect", prefect_home.migrate))


@pytest.fixture(scope="session")
def prefect(furnish: Furnish) -> Iterator[None]:
    """One ephemeral Prefect server for all flow tests of a worker."""
    from prefect.testing import utilities

    def home() -> str:
        furnish(made := Path(mkdtemp()), "prefect-test.db")
        return str(made)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(utilities, "mkdtemp", home)  # where the harness has its database
        with utilities.prefect_test_harness(server_startup_timeout=600):
            yield


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[seaweed.Server]:
    """One real S3 server for all tests that ask for it; where it cannot start, they fail."""
    with seaweed.running(tmp_path_factory.mktemp("s3") / "server") as server:
        yield server


@pytest.fixture
def s3_uri(s3_server: seaweed.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty store in S3, which this process and its children find by their environment."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return f"s3://{seaweed.BUCKET}/{content_id(str(tmp_path))}"


@pytest.fixture
def andon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Andon:
    """The command line on a store of this test's own."""
    return on_store(tmp_path / "store", monkeypatch, capsys)


@pytest.fixture
def tiny_toml(tiny_folder: Path, tmp_path: Path) -> Path:
    """The sentiment campaign as a user's own file, with sizes of a test."""
    path = tmp_path / "tiny.toml"
    path.write_text(tiny_campaign(tiny_folder))
    return path


@pytest.fixture(scope="session")
def one_round(prefect: None, tiny_folder: Path, made_once: MadeOnce) -> tuple[Path, str]:
    """A store in which the tiny campaign went through its first round, to be copied, and its run."""

    def make(folder: Path) -> None:
        import torch

        from flows.batch_round import batch_round

        (folder / "tiny.toml").write_text(tiny_campaign(tiny_folder))
        torch.set_num_threads(1)
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("ANDON_STATE", str(folder / "state"))
            run = batch_round(str(folder / "tiny.toml"), str(folder / "store"))
        assert run is not None
        (folder / "run").write_text(run)

    folder = made_once("round", make)
    return folder / "store", (folder / "run").read_text()


@pytest.fixture
def first_run(one_round: tuple[Path, str], tmp_path: Path) -> str:
    """The run of the first round, which this test's store has behind it."""
    store, run = one_round
    shutil.copytree(store, tmp_path / "store")
    return run


@pytest.fixture
def answered(andon: Andon, tiny_toml: Path, tmp_path: Path) -> Path:
    """A store with labels that nobody trained on yet; training saves its state at every step."""
    tiny_toml.write_text(tiny_toml.read_text() + "\n[checkpoints]\nreward_steps = 1\npolicy_updates = 1\n")
    (file,) = andon("export", tiny_toml, "--questions", 24)["vendor_files"]
    questions = pq.read_table(file).select(["question_id", "content_sha256"])
    count = len(questions)
    answers = questions.append_column("labeler_id", [["me"] * count])
    answers = answers.append_column("best", [[number % 4 for number in range(count)]])
    pq.write_table(answers, tmp_path / "answers.parquet")
    andon("ingest", tiny_toml, tmp_path / "answers.parquet")
    return tmp_path / "store"
