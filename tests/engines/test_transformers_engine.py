from __future__ import annotations

import pickle
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from families import FAMILY_NAMES
from llguidance import LLMatcher

from instruct_mner.answers import codec
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.data.loading import load_split
from instruct_mner.engines.answer_batch import AnswerBatch
from instruct_mner.engines.engine import Completion, Engine, Request
from instruct_mner.engines.transformers import TransformersEngine
from instruct_mner.engines.vllm import VllmEngine
from instruct_mner.errors import ModelError
from instruct_mner.models.loading import load_model
from instruct_mner.models.tuned import zero_shot
from instruct_mner.prompting.templates import find_prompt, shown_text
from instruct_mner.schema.labels import LabelSet
from instruct_mner.tagging.post_tagger import PostTagger
from instruct_mner.tagging.tagger import Tagger
from instruct_mner.testing.posts import make_posts
from instruct_mner.training.conversation import Conversations
from instruct_mner.training.trl_arguments import prompt_completion_collator

LABELS = LabelSet.of(["PER", "LOC", "ORG", "MISC"])


@pytest.fixture(params=FAMILY_NAMES)
def loaded(request, tiny_models):
    return load_model(str(tiny_models(request.param)))


@pytest.fixture
def conversations(loaded) -> Conversations:
    spec = AnswerSpec(
        labels=LABELS,
        grounded=True,
        prefix=loaded.answer_prefix,
        box_range=loaded.family.box_convention.answer_range,
    )
    prompt = find_prompt("tag-grounded")
    return Conversations(prompt=prompt, spec=spec, description=loaded, max_images=1)


@pytest.fixture
def requests(loaded, conversations, tmp_path) -> list[Request]:
    return made_requests(loaded, conversations, tmp_path)


def made_requests(loaded, conversations, tmp_path) -> list[Request]:
    dataset = load_split(str(make_posts(tmp_path)))
    made = []
    for example in dataset.examples:
        row = conversations.row(example, dataset.picture_paths(example))
        text = shown_text(example.text, loaded.special_tokens)
        grammar = codec.grammar(conversations.spec, text, len(row["images"]))
        made.append(Request(row["prompt"], tuple(row["images"]), grammar, max_tokens=60))
    return made


def test_the_ids_are_those_of_training(loaded, conversations, tmp_path) -> None:
    dataset = load_split(str(make_posts(tmp_path)))
    engine = TransformersEngine(loaded)
    for example in dataset.examples:
        row = conversations.row(example, dataset.picture_paths(example))
        request = Request(row["prompt"], tuple(row["images"]))
        tagged = engine.inputs([request])
        trained = prompt_completion_collator(loaded.processor)([row])
        length = int((trained["labels"][0] == -100).sum())
        assert torch.equal(tagged["input_ids"][0], trained["input_ids"][0, :length])
        if "pixel_values" in tagged:
            assert torch.equal(tagged["pixel_values"], trained["pixel_values"])


@pytest.mark.parametrize(
    ("form", "temperature"), [pytest.param("lines", 0.0, marks=pytest.mark.prove), ("lines", 1.5), ("json", 1.5)]
)
def test_every_answer_is_legal(loaded, conversations, tmp_path, form: str, temperature: float) -> None:
    conversations = replace(conversations, spec=conversations.spec.model_copy(update={"format": form}))
    requests = made_requests(loaded, conversations, tmp_path)
    completions = TransformersEngine(loaded, batch_size=6).generate(requests * 2, temperature=temperature, seed=3)
    for request, completion in zip(requests * 2, completions, strict=True):
        post = request.messages[0]["content"][-1]["text"].partition("Post: ")[2]
        answer = codec.parse(
            conversations.spec, post, completion.text, len(request.images), finished=completion.finished
        )
        assert answer.rejected.hallucinated == 0
        assert answer.rejected.malformed == (0 if completion.finished else 1), (post, completion)


def test_batches_do_not_change_answers(loaded, requests) -> None:
    together = TransformersEngine(loaded, batch_size=len(requests)).generate(requests)
    alone = TransformersEngine(loaded, batch_size=1).generate(requests)
    assert [each.text for each in together] == [each.text for each in alone]
    for one, other in zip(together, alone, strict=True):
        assert [t.logprob for t in one.tokens] == pytest.approx([t.logprob for t in other.tokens], abs=1e-3)


def test_answers_that_are_finished_make_room_for_others(loaded, requests, monkeypatch) -> None:
    """Short, long and cut answers in a batch of eight: every answer is what it is alone, and few rows are idle."""
    short = [replace(each, grammar=r"start: /[a-z]{1,3}/", max_tokens=20) for each in requests]
    long = [replace(each, grammar=r"start: /[a-z]{30}/", max_tokens=60) for each in requests]
    cut = replace(requests[0], grammar=r"start: /[a-z]{30}/", max_tokens=5)
    nothing = replace(requests[0], max_tokens=0)
    asked = [*(short * 4)[:9], long[0], nothing, long[-1], cut]
    rows = []
    step = AnswerBatch.step

    def noted(batch):
        rows.append(len(batch))
        assert not any(answer.finished for answer in batch.answers)
        step(batch)

    monkeypatch.setattr(AnswerBatch, "step", noted)
    together = TransformersEngine(loaded, batch_size=8).generate(asked)
    assert max(rows) <= 8
    assert sum(rows) == sum(max(len(each.tokens) - (not each.finished), 0) for each in together)
    alone = TransformersEngine(loaded, batch_size=1).generate(asked)
    assert [each.text for each in together] == [each.text for each in alone]
    assert [each.finished for each in together] == [True] * 10 + [False, True, False]
    assert len(together[-1].tokens) == 5
    for one, other in zip(together, alone, strict=True):
        assert [t.logprob for t in one.tokens] == pytest.approx([t.logprob for t in other.tokens], abs=1e-3)


@pytest.mark.parametrize("batch_size", [9, 10])
def test_answers_are_drawn_where_caches_cannot_be_joined(batch_size: int, tiny_models) -> None:
    """Three answers to each request, which end at different steps, so that places become free in a batch."""
    loaded = load_model(str(tiny_models("gemma3")))
    assert not AnswerBatch.is_joinable(loaded.model)
    message = {"role": "user", "content": [{"type": "text", "text": "hello"}]}
    asked = [
        Request([message], grammar=f"start: /[a-z]{{{4 + 6 * (number % 5)}}}/", max_tokens=40) for number in range(6)
    ]
    drawn = TransformersEngine(loaded, batch_size).sample(asked, 3)
    assert [len(samples) for samples in drawn] == [3] * 6
    assert all(sample.completion.finished for samples in drawn for sample in samples)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_model_whose_probabilities_are_no_numbers_gives_no_answer(temperature: float, tiny_models) -> None:
    """The score of its entities was 1."""
    loaded = load_model(str(tiny_models("idefics3")))
    with torch.no_grad():
        loaded.model.get_output_embeddings().weight[:] = float("nan")
    request = Request([{"role": "user", "content": [{"type": "text", "text": "Jordan dunks"}]}])
    with pytest.raises(ModelError, match="probability NaN"):
        TransformersEngine(loaded, 2).generate([request], temperature=temperature)
    with pytest.raises(ModelError, match="probability NaN"):
        Completion.of([b"PER"], [float("nan")], finished=True)


def test_logprobs_are_those_that_the_grammar_leaves(loaded, requests, monkeypatch) -> None:
    engine = TransformersEngine(loaded, batch_size=1)
    # An answer of some tokens, whatever the random weights prefer.
    request = replace(requests[0], grammar=r"start: /(PER|LOC): [a-z]{6,9}/", max_tokens=40)
    answers = []
    completed = engine._completion

    def noted(answer):
        answers.append(answer)
        return completed(answer)

    monkeypatch.setattr(engine, "_completion", noted)
    [completion] = engine.generate([request])
    inputs = engine.inputs([request])
    prompt = inputs.pop("input_ids")
    length = prompt.shape[1]
    ids = torch.cat([prompt, torch.tensor([answers[0].tokens])], dim=1)
    written = ids[0, length:]
    assert len(written) > 3
    inputs["attention_mask"] = torch.ones_like(ids)
    for name in ("mm_token_type_ids", "token_type_ids"):
        if name in inputs:
            padding = torch.zeros(1, len(written), dtype=torch.long)
            inputs[name] = torch.cat([inputs[name], padding], dim=1)
    with torch.no_grad():
        logits = loaded.model(input_ids=ids, **inputs).logits[0]
    matcher, expected = LLMatcher(engine.grammar_tokenizer, request.grammar), []
    for token, row in zip(written.tolist(), logits[length - 1 : -1], strict=True):
        bits = np.unpackbits(np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8), bitorder="little")
        allowed = [index for index in range(len(row)) if bits[index]]
        expected.append(float(row[token] - row[allowed].logsumexp(0)))
        matcher.consume_token(token)
    assert [token.logprob for token in completion.tokens] == pytest.approx(expected, abs=1e-3)
    free = torch.log_softmax(logits, dim=-1)[length - 1 : -1].gather(1, written[:, None])[:, 0]
    assert sum(expected) > float(free.sum()) + 1
    assert "".join(completion.text[token.start : token.end] for token in completion.tokens) == completion.text


def test_a_cut_answer_is_not_finished(loaded, requests, capfd) -> None:
    cut, longer = (replace(requests[0], grammar=r"start: /[a-z]{50,}/", max_tokens=tokens) for tokens in (4, 9))
    completions = TransformersEngine(loaded).generate([cut, longer])
    assert not any(each.finished for each in completions)
    assert [len(each.tokens) for each in completions] == [4, 9]
    assert "Parser Error" not in "".join(capfd.readouterr()), "padding was read as part of an answer"


def test_a_grammar_that_is_none_is_an_error(loaded, requests) -> None:
    with pytest.raises(ModelError, match="grammar"):
        TransformersEngine(loaded).generate([Request(requests[0].messages, requests[0].images, "start: (")])


@pytest.mark.parametrize("kind", [TransformersEngine, VllmEngine])
def test_a_tagger_with_a_model_says_what_to_do_in_workers(kind: type[Engine]) -> None:
    tagger = PostTagger(kind.__new__(kind), *zero_shot("m"))
    assert tagger.without_calibration().manifest == tagger.manifest
    for refused in (pickle.dumps, deepcopy):
        with pytest.raises(TypeError, match="with a model in this process cannot be pickled: make one within each"):
            refused(tagger)


def test_a_tagger_of_a_server_is_pickled() -> None:
    tagger = Tagger.connect("http://127.0.0.1:8000/v1", model="m")
    assert pickle.loads(pickle.dumps(tagger)).manifest == tagger.manifest


def test_training_mode_is_given_back(loaded, requests) -> None:
    loaded.model.train()
    TransformersEngine(loaded).generate(requests[:1])
    assert loaded.model.training
