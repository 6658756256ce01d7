"""Tokenizers of other kinds than GPT-2's: BOS, stops that are found by text, and ids that no person can read."""

from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from data.campaign import load_campaign
from data.errors import Refused
from models.lm.base import Base
from models.lm.prompts import Prompts
from models.lm.sampling import draw_noise
from models.lm.tokens import PAD, pad_right
from models.lm.vocabulary import stops
from models.monitoring.monitor import length_to_stop
from models.monitoring.shadow_scorer import rules_of, score, valid_part
from models.ppo.policy import PolicyModel, Rollout, roll_out
from models.reward.dataset import question_tokens
from models.reward.model import RewardModel, new_reward_model
from tests.support.tiny_tokenizers import joining, sentencepiece

RULES = load_campaign("sentiment").text.model_copy(
    update={"truncate_after": 2, "response_tokens": 8, "prefix": "He said:\n", "suffix": "\nThe words:"}
)
TEXT = "It was late. They went home. The end of it"
ROWS = 8  # of the embedding that the tokenizer lacks
KINDS = {"sentencepiece": sentencepiece, "joining": joining}


def base_of(tokenizer: Any) -> Base:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer) + ROWS, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=128, initializer_range=0.3,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval().requires_grad_(False)
    return Base("with-bos", model, tokenizer, "", "")


@pytest.fixture(params=KINDS)
def base(request: pytest.FixtureRequest) -> Base:
    return base_of(KINDS[request.param]())


def rolled(base: Base, reward: RewardModel, prompts: Prompts) -> Rollout:
    queries = [prompts.encode(text) or [] for text in (TEXT, "A man. A dog.")]
    noise = draw_noise(2, 2, prompts.fmt, torch.Generator().manual_seed(0))
    return roll_out(PolicyModel(base.model), base.model, reward, queries, noise, prompts, 1)


def plain_logprobs(base: Base, row: list[int], response: list[int]) -> torch.Tensor:
    logits = base.model(input_ids=torch.tensor([row + response])).logits[0, len(row) - 1 : -1]
    logprobs: torch.Tensor = (logits / RULES.temperature).log_softmax(-1)
    return logprobs.gather(1, torch.tensor(response)[:, None])[:, 0]


def test_every_model_reads_rows_that_begin_with_bos(base: Base) -> None:
    prompts, bos = base.prompts(RULES), base.tokenizer.bos_token_id
    reward = new_reward_model(base.model, 0)
    rollout = rolled(base, reward, prompts)
    head = reward.state_dict()
    for row in range(2):
        query, context = ([t for t in rows[row].tolist() if t != PAD] for rows in (rollout.queries, rollout.contexts))
        tokens = rollout.tokens[row, 0].tolist()
        assert query[0] == context[0] == bos and query.count(bos) == context.count(bos) == 1
        for found in (rollout.logprobs, rollout.reference):
            assert (found[row, 0] - plain_logprobs(base, context, tokens)).abs().max() < 1e-4
            without = (found[row, 0] - plain_logprobs(base, context[1:], tokens)).abs().max()
            assert without > 1e-2, "a missing BOS is visible"
        (ours,) = reward(rollout.queries[row : row + 1], rollout.tokens[row : row + 1, :1])[0].tolist()
        assert score([(reward.body, head)], query, tokens) == pytest.approx(ours, abs=1e-4), "the shadow scorer agrees"
        assert abs(score([(reward.body, head)], query[1:], tokens) - ours) > 1e-3


def test_bos_is_there_once_whatever_the_prefix_says_and_people_never_see_it(base: Base) -> None:
    name = base.tokenizer.bos_token
    prompts, bos = base.prompts(RULES.model_copy(update={"prefix": f"{name}He said:\n"})), base.tokenizer.bos_token_id
    query = prompts.encode(TEXT)
    assert query is not None and query == base.tokenizer.encode("It was late. They went home.")
    context = prompts.surround(query)
    assert context[0] == bos and context.count(bos) == 1
    assert context == base.prompts(RULES).surround(query) == prompts.surround(query[1:])
    assert prompts.decode(query) == "It was late. They went home."


def test_key_files_of_old_batches_lack_bos_and_are_read_with_it(base: Base) -> None:
    prompts = base.prompts(RULES)
    query = prompts.encode(TEXT)
    assert query is not None
    samples = [{"tokens": prompts.encode_response("They went home.")}]
    for stored in (query, query[1:]):
        found = question_tokens(prompts, {"query_tokens": stored, "samples": samples}, same=True)
        assert found is not None and found[0] == query


def test_gpt_2_has_no_bos(tiny: Base) -> None:
    prompts = tiny.prompts(RULES)
    assert prompts.begin == []
    assert prompts.encode(TEXT) == tiny.tokenizer.encode("It was late. They went home.", add_special_tokens=False)


STOPS = {
    ("sentencepiece", "."): ["<0x2E>", "."],
    ("sentencepiece", "\n"): ["<0x0A>"],
    ("sentencepiece", "\n\n"): ["<0x0A> <0x0A>"],
    ("sentencepiece", "###"): ["## #"],
    ("sentencepiece", "</s>"): ["</s>"],
    ("joining", "."): [".", ".Ċ", ".ĊĊ"],
    ("joining", "\n"): ["Ċ", ".Ċ", ".ĊĊ", "ĊĊ", "ĊĠ", "...ĊĊ", "ĊĠĊ"],
    ("joining", "\n\n"): ["ĊĊ"],
    ("joining", "<role>"): ["<role>"],
}


@pytest.mark.parametrize(("kind", "rule"), STOPS)
def test_a_stop_is_found_by_its_text(kind: str, rule: str) -> None:
    tokenizer = KINDS[kind]()
    assert [" ".join(tokenizer.convert_ids_to_tokens(way)) for way in stops(tokenizer, rule)] == STOPS[kind, rule]


@pytest.mark.parametrize(
    ("rule", "stop"), [(".", ["."]), ("\n", ["Ċ"]), ("\n\n", ["Ċ", "Ċ"]), ("###", ["#", "#", "#"])]
)
def test_for_the_embedded_base_a_stop_is_the_token_of_2019(rule: str, stop: list[str], tiny: Base) -> None:
    assert stops(tiny.tokenizer, rule) == [tiny.tokenizer.convert_tokens_to_ids(stop)]


def test_a_rule_that_a_tokenizer_cannot_write_is_refused() -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, ".": 2}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]")
    with pytest.raises(Refused, match=r"cannot write '\\n'.*Choose another text"):
        stops(tokenizer, "\n")


def cut_text(base: Base, tokens: list[int], **rules: Any) -> tuple[str, bool]:
    prompts = base.prompts(RULES.model_copy(update=rules))
    cut, valid = prompts.truncate(pad_right([tokens], 12))
    return prompts.decode(cut[0].tolist()), bool(valid)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("They went home. And", "They went home."),
        ("They went... home. And", "They went... home."),
        ("A man . A dog. And", "A man . A dog."),
        ("They went home.\n\nAnd", "They went home."),
        ("They went home", None),
    ],
)
def test_a_response_ends_at_the_same_text_with_every_tokenizer(text: str, shown: str | None, base: Base) -> None:
    tokens = base.prompts(RULES.model_copy(update={"response_tokens": 99})).encode_response(text)
    read, valid = cut_text(base, tokens)
    assert valid is (shown is not None) and read == (shown or text)


def test_queries_start_and_end_by_text(base: Base) -> None:
    prompts = base.prompts(RULES.model_copy(update={"query_starts_after": ".", "query_ends_at": "\n"}))
    ids = prompts.encode("He said. The man.\n\nA dog\nThe end of")
    assert ids is not None and prompts.decode(ids) == "The man.\n\nA dog"


def test_responses_that_people_could_not_read_as_sampled_are_invalid(base: Base) -> None:
    tokenizer = base.tokenizer
    words = base.prompts(RULES).encode_response("The end of it.")
    inside = {
        "BOS": [tokenizer.bos_token_id],
        "a row of the embedding without a token": [len(tokenizer)],
        "the last row": [len(tokenizer) + ROWS - 1],
        "a part of a character": tokenizer.encode("é", add_special_tokens=False)[-2:-1],
    }
    assert cut_text(base, words) == ("The end of it.", True)
    for kind, ids in inside.items():
        assert not cut_text(base, [*words[:2], *ids, *words[2:]])[1], kind
        assert cut_text(base, [*words, *ids]) == ("The end of it.", True), f"{kind} behind the stop"
    whole = tokenizer.encode("é", add_special_tokens=False)[-2:]
    assert cut_text(base, [*words[:2], *whole, *words[2:]]) == ("The endé of it.", True)
    end = [*words[:2], tokenizer.eos_token_id, *words[2:]]
    assert cut_text(base, end) == (f"The end{tokenizer.eos_token} of it.", True)


def test_nobody_is_shown_another_text_than_was_sampled(tiny: Base) -> None:
    for base in (tiny, base_of(sentencepiece()), base_of(joining())):
        prompts, wide = base.prompts(RULES), base.prompts(RULES.model_copy(update={"response_tokens": 99}))
        draw, size = torch.Generator().manual_seed(1), int(base.model.config.vocab_size)
        common = torch.tensor(
            [*prompts.encode_response("It was late... é."), *prompts.stop, base.tokenizer.eos_token_id]
        )
        rows = torch.where(
            torch.rand(400, 8, generator=draw) < 0.5,
            common[torch.randint(len(common), (400, 8), generator=draw)],
            torch.randint(size, (400, 8), generator=draw),
        )
        cut, valid = prompts.truncate(rows)
        rules = rules_of(prompts)
        assert 20 < valid.sum() < 380
        for row, short, good in zip(rows.tolist(), cut.tolist(), valid.tolist(), strict=True):
            kept = [token for token in short if token != PAD]
            assert (valid_part(row, rules, base.tokenizer) == kept) is good, "the shadow scorer's loop agrees"
            assert length_to_stop(row, prompts.stops, 2) in (0, len(kept))
            if good:
                shown = prompts.decode(kept)
                assert wide.decode(wide.encode_response(shown)) == shown and "\ufffd" not in shown
