"""Answers that a policy draws: legal, each with the probability that a plain forward gives it under the grammar."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from families import ONE_OF_EACH_KIND
from policies import prepared, sampler_of

from instruct_mner.answers import codec
from instruct_mner.engines.constraint import guide_of
from instruct_mner.engines.engine import Sample
from instruct_mner.engines.transformers import TransformersEngine
from instruct_mner.models.prefix_sharing import shared_beginning
from instruct_mner.reinforcement.rollouts import AnswerSampler, legal_scores, score_answers
from instruct_mner.testing.posts import TEXTS
from instruct_mner.training.setup import Run

FAMILIES = (*ONE_OF_EACH_KIND, "llama")


def policy(tiny_models, family: str, folder) -> tuple[Run, AnswerSampler]:
    sees = family != "llama"
    run = prepared(tiny_models(family), folder, grounded=sees, **({} if sees else {"max_images": 0}))
    run.loaded.model.eval()
    return run, sampler_of(run)


def plain_logprobs(run: Run, sampler: AnswerSampler, post, tokens: list[int], temperature: float) -> list[float]:
    """Log-probability of each token by a forward of prompt and answer alone, and a matcher that goes along."""
    question = sampler._question(post)
    prompt = sampler.engine.inputs([question.request])
    guide = guide_of(sampler.engine.grammar_tokenizer, question.request)
    assert guide is not None
    found = []
    for number, token in enumerate(tokens):
        before = torch.tensor([tokens[:number]], dtype=torch.long)
        inputs = {**prompt, "input_ids": torch.cat([prompt["input_ids"], before], dim=1)}
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        for name in ("token_type_ids", "mm_token_type_ids"):
            if name in inputs:
                inputs[name] = torch.cat([inputs[name], torch.zeros_like(before)], dim=1)
        with torch.no_grad():
            scores = run.loaded.model(**inputs).logits[0, -1].float() / temperature
        if guide.matcher.is_stopped():
            allowed = torch.zeros(len(scores), dtype=torch.bool)
            allowed[run.loaded.end_tokens] = True
        else:  # the bits of the mask, one by one: where a text is forced, it names one of the tokens that fit
            mask = guide.matcher.compute_bitmask()
            allowed = torch.tensor(
                [each // 8 < len(mask) and bool(mask[each // 8] >> each % 8 & 1) for each in range(len(scores))]
            )
        found.append(scores.masked_fill(~allowed, float("-inf")).log_softmax(-1)[token].item())
        if token not in run.loaded.end_tokens:
            guide.write(token)
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_each_answer_has_the_probability_of_a_plain_forward_under_its_grammar(family, tiny_models, tmp_path) -> None:
    run, sampler = policy(tiny_models, family, tmp_path)
    post = run.train.examples[0]
    [answers] = sampler.draw([post], seed=1)
    shares = {} if run.loaded.family.recurrent else {"shared": partial(shared_beginning, run.loaded.decoder)}
    logprobs, entropy = score_answers(run.loaded.model, answers, torch.device("cpu"), temperature=1.0, **shares)
    for row, mask in enumerate(answers.mask):
        tokens = answers.tokens[row, : int(mask.sum())].tolist()
        expected = plain_logprobs(run, sampler, post, tokens, 1.0)
        assert logprobs[row, : len(tokens)].tolist() == pytest.approx(expected, abs=2e-4)
    assert torch.isfinite(logprobs).all()
    assert (entropy >= -1e-6).all()
    assert answers.num_illegal == 0


@pytest.mark.parametrize("form", ["json", pytest.param("inline", marks=pytest.mark.prove)])
def test_answers_of_other_forms_are_drawn_as_well(form, tiny_models, tmp_path) -> None:
    answer = {"format": form, "grounded": form == "json", "max_entities": 3}
    run = prepared(tiny_models("idefics3"), tmp_path, grounded=form == "json", answer=answer)
    run.loaded.model.eval()
    sampler = sampler_of(run)
    post = run.train.examples[2]
    [answers] = sampler.draw([post], seed=1)
    assert answers.num_illegal == 0
    logprobs, _ = score_answers(run.loaded.model, answers, torch.device("cpu"), temperature=1.0)
    tokens = answers.tokens[0, : int(answers.mask[0].sum())].tolist()
    assert logprobs[0, : len(tokens)].tolist() == pytest.approx(
        plain_logprobs(run, sampler, post, tokens, 1.0), abs=2e-4
    )


def test_the_temperature_divides_the_scores(tiny_models, tmp_path) -> None:
    run, sampler = policy(tiny_models, "idefics3", tmp_path)
    post = run.train.examples[2]
    [answers] = sampler.draw([post], seed=1)
    logprobs, _ = score_answers(run.loaded.model, answers, torch.device("cpu"), temperature=2.0)
    tokens = answers.tokens[0, : int(answers.mask[0].sum())].tolist()
    assert logprobs[0, : len(tokens)].tolist() == pytest.approx(
        plain_logprobs(run, sampler, post, tokens, 2.0), abs=2e-4
    )


class OfAnotherEngine:
    """Draws as the policy does, and does not say what the grammar allowed, as vLLM."""

    def __init__(self, engine: TransformersEngine) -> None:
        self.engine = engine

    def sample(self, requests, num_answers, *, temperature=1.0, seed=0) -> list[list[Sample]]:
        drawn = self.engine.sample(requests, num_answers, temperature=temperature, seed=seed)
        return [
            [replace(each, allowed=None, logprobs=tuple(-0.5 for _ in each.tokens)) for each in samples]
            for samples in drawn
        ]


def test_what_another_engine_does_not_say_of_the_grammar_is_found_again(tiny_models, tmp_path) -> None:
    run, sampler = policy(tiny_models, "idefics3", tmp_path)
    posts = run.train.examples[2:5]
    own, other = sampler.draw(posts, 1), replace(sampler, sampler=OfAnotherEngine(sampler.engine)).draw(posts, 1)
    for one, two in zip(own, other, strict=True):
        assert torch.equal(one.allowed, two.allowed)
        assert one.drawn is None
        assert two.drawn is not None
        assert torch.equal(two.drawn, -0.5 * two.mask)


def test_nothing_is_learned_from_a_token_that_the_grammar_forbids(tiny_models, tmp_path) -> None:
    run, sampler = policy(tiny_models, "idefics3", tmp_path)
    question = sampler._question(run.train.examples[0])
    [[good, sample]] = sampler.engine.sample([question.request], 2, seed=1)
    wrong = replace(sample, tokens=(5, *sample.tokens[1:]))
    answers = sampler._answers(question, [good, wrong])
    assert answers.num_illegal == 1
    assert answers.mask[0].any()
    assert not answers.mask[1].any()


def test_a_seed_names_the_answers_and_another_gives_others(tiny_models, tmp_path) -> None:
    run, sampler = policy(tiny_models, "idefics3", tmp_path)
    posts = run.train.examples[:4]
    first, again, other = (sampler.draw(posts, seed) for seed in (1, 1, 2))
    assert all(torch.equal(one.tokens, two.tokens) for one, two in zip(first, again, strict=True))
    assert not all(
        one.tokens.shape == two.tokens.shape and torch.equal(one.tokens, two.tokens)
        for one, two in zip(first, other, strict=True)
    )


def test_the_random_numbers_of_training_are_left_alone(tiny_models, tmp_path) -> None:
    run, sampler = policy(tiny_models, "idefics3", tmp_path)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    sampler.draw(run.train.examples[:2], seed=1)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("batch_size", [5, *(pytest.param(each, marks=pytest.mark.prove) for each in (2, 64))])
def test_cold_draws_are_the_greedy_answer_as_often_as_asked(batch_size, tiny_models, tmp_path) -> None:
    """At a low temperature every draw is the most likely answer, whatever stands together in a batch."""
    run, _ = policy(tiny_models, "idefics3", tmp_path)
    sampler = sampler_of(run, temperature=1e-7, batch_size=batch_size)
    questions = [sampler._question(post) for post in run.train.examples]
    greedy = sampler.engine.generate([question.request for question in questions])
    drawn = sampler.engine.sample([question.request for question in questions], 3, temperature=1e-7)
    assert [[each.completion.text for each in samples] for samples in drawn] == [[one.text] * 3 for one in greedy]


def test_what_is_drawn_is_legal_and_rewards_are_those_of_the_answers(tiny_models, tmp_path) -> None:
    run, sampler = policy(tiny_models, "idefics3", tmp_path)
    drawn = sampler.draw(run.train.examples, seed=3)
    assert len(drawn) == len(TEXTS)
    for answers in drawn:
        assert set(answers.rewards) == {"spans", "types", "boxes", "not_visible"}
        mean = [sum(each) / 4 for each in zip(*answers.rewards.values(), strict=True)]
        assert answers.totals.tolist() == pytest.approx(mean)
        assert answers.num_illegal == answers.num_cut == 0


def test_the_gold_answer_has_the_whole_reward(tiny_models, tmp_path) -> None:
    run, sampler = policy(tiny_models, "idefics3", tmp_path)
    for post in run.train.examples:
        question = sampler._question(post)
        _, [gold] = run.conversations.written(post, [image.size for image in question.images])
        text = "".join(part["text"] for part in gold["content"])
        parsed = codec.parse(question.spec, question.text, text, len(question.images))
        assert len(parsed.entities) == len(post.gold)


def test_an_answer_that_is_none_on_this_post_is_counted(tiny_models, tmp_path) -> None:
    run, sampler = policy(tiny_models, "idefics3", tmp_path)
    question = sampler._question(run.train.examples[0])
    [[sample]] = sampler.engine.sample([question.request], 1, seed=1)
    wrong = replace(sample, completion=replace(sample.completion, text=" PER: Nobody []"))
    assert sampler._answers(question, [sample]).num_illegal == 0
    assert sampler._answers(question, [wrong]).num_illegal == 1


def test_legal_scores_read_a_bit_for_each_token() -> None:
    allowed = torch.tensor([[[0b0000_0101, 0b0000_0010]]], dtype=torch.uint8)
    found = legal_scores(torch.arange(10.0).view(1, 1, 10), allowed)
    assert [number for number in range(10) if torch.isfinite(found[0, 0, number])] == [0, 2, 9]
