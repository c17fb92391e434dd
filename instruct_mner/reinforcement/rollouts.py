"""Answers that a policy draws to posts under their grammars, with what each is worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from instruct_mner.answers.guide import Allowed
from instruct_mner.engines.constraint import allowed_tokens, guide_of
from instruct_mner.engines.engine import Sample, Sampler
from instruct_mner.engines.transformers import TransformersEngine
from instruct_mner.images import open_image
from instruct_mner.models.loading import Model
from instruct_mner.reinforcement.rewards.weighted import REWARDS, weighted
from instruct_mner.schema.records import Example, Prediction
from instruct_mner.tagging.post_questions import with_fitting_answer
from instruct_mner.tagging.question import Question, QuestionBuilder

# Rewards that say something of answers without boxes.
_WITHOUT_BOXES = ("spans", "types")


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Answers to one post.

    Attributes:
        prompt: Output of the processor for the prompt, a single row.
        tokens: Ids of the answers' tokens, ``(answers, tokens)``, padded on the right.
        mask: 1 at tokens, 0 at padding, ``(answers, tokens)``.
        allowed: Tokens that the grammar allowed at each token, a bit each, ``(answers, tokens, bytes)``; all of them at
            padding.
        drawn: Log-probability of each token as it was drawn, where that was not by the model that is trained; 0 at
            padding, ``(answers, tokens)``.
        rewards: Each reward of each answer, by name.
        totals: Weighted mean of an answer's rewards, ``(answers,)``.
        num_illegal: Number of answers that came to their end and are malformed, or name what is not in the post, and of
            those with a token that the grammar does not allow; nothing is learned from the latter.
        num_unplaceable: Number of mentions that were named more often than they are in the post: on long posts they are
            not counted while an answer is written.
        num_cut: Number of answers that did not come to their end.
    """

    prompt: Mapping[str, Tensor]
    tokens: Tensor
    mask: Tensor
    allowed: Tensor
    drawn: Tensor | None
    rewards: Mapping[str, tuple[float, ...]]
    totals: Tensor
    num_illegal: int
    num_unplaceable: int
    num_cut: int


@dataclass(frozen=True, kw_only=True)
class AnswerSampler:
    """Sampler of answers to annotated posts.

    Attributes:
        engine: Engine on the policy; it makes the prompts.
        sampler: Engine that draws the answers.
        builder: Builder of the questions, and reader of the answers.
        picture_paths: Function that gives the files of a post's pictures.
        weights: Weight of each reward.
        num_answers: Number of answers to each post.
        temperature: Temperature at which answers are drawn.
    """

    engine: TransformersEngine
    sampler: Sampler
    builder: QuestionBuilder
    picture_paths: Callable[[Example], Sequence[Path]]
    weights: Mapping[str, float]
    num_answers: int
    temperature: float

    @property
    def reward_names(self) -> tuple[str, ...]:
        """Names of the rewards that answers of this form can have."""
        return tuple(REWARDS) if self.builder.manifest.answer.grounded else _WITHOUT_BOXES

    def draw(self, posts: Sequence[Example], seed: int) -> list[Answers]:
        """Return answers to posts.

        Args:
            posts: Annotated posts.
            seed: Seed of the draws.
        """
        questions = [self._question(post) for post in posts]
        requests = [question.request for question in questions]
        samples = self.sampler.sample(requests, self.num_answers, temperature=self.temperature, seed=seed)
        return [self._answers(*each) for each in zip(questions, samples, strict=True)]

    def _question(self, post: Example) -> Question:
        most = self.builder.manifest.max_images
        images = tuple(open_image(path) for path in self.picture_paths(post)[:most]) if most else ()
        question = self.builder.question(post, images, self.builder.answer_spec())
        # A request is an object of its own, also of a post that stands twice in a step.
        return with_fitting_answer(self.engine, replace(question, request=replace(question.request)))

    def _answers(self, question: Question, samples: Sequence[Sample]) -> Answers:
        predictions = [self.builder.read(question, sample.completion) for sample in samples]
        rewards = [self._rewards(question.example, prediction) for prediction in predictions]
        longest = max(len(sample.tokens) for sample in samples)
        size = self.engine.loaded.vocabulary_size
        tokens = torch.full((len(samples), longest), self.engine.loaded.tokenizer.pad_token_id)
        mask = torch.zeros(len(samples), longest, dtype=torch.long)
        allowed = np.full((len(samples), longest, -(-size // 8)), 255, dtype=np.uint8)
        drawn = None if samples[0].logprobs is None else torch.zeros(len(samples), longest)
        illegal = {
            row
            for row, (sample, prediction) in enumerate(zip(samples, predictions, strict=True))
            if sample.completion.finished and prediction.rejected.malformed + prediction.rejected.hallucinated
        }
        for row, sample in enumerate(samples):
            length = len(sample.tokens)
            bits = self._allowed(question, sample)
            tokens[row, :length] = torch.tensor(sample.tokens)
            if bits is not None:
                if not all(bits[at, token // 8] >> token % 8 & 1 for at, token in enumerate(sample.tokens)):
                    illegal.add(row)  # It has no probability under the grammar, so that nothing is learned from it.
                    continue
                allowed[row, :length] = bits
            mask[row, :length] = 1
            if drawn is not None:
                drawn[row, :length] = torch.tensor(sample.logprobs)
        return Answers(
            prompt=dict(self.engine.inputs([question.request])),
            tokens=tokens,
            mask=mask,
            allowed=torch.from_numpy(allowed),
            rewards={name: tuple(each[name] for each in rewards) for name in self.reward_names},
            totals=torch.tensor([weighted(each, self.weights) for each in rewards]),
            drawn=drawn,
            num_illegal=len(illegal),
            num_unplaceable=sum(prediction.rejected.unplaceable for prediction in predictions),
            num_cut=sum(not sample.completion.finished for sample in samples),
        )

    def _allowed(self, question: Question, sample: Sample) -> Allowed | None:
        """Return what the grammar allowed at each token; where the engine does not say it, by the grammar once more."""
        if sample.allowed is not None:
            return sample.allowed
        guide = guide_of(self.engine.grammar_tokenizer, question.request)
        if guide is None:
            return None
        loaded = self.engine.loaded
        return allowed_tokens(guide, sample.tokens, loaded.vocabulary_size, loaded.end_tokens)

    def _rewards(self, post: Example, prediction: Prediction) -> dict[str, float]:
        return {name: REWARDS[name](post, prediction) for name in self.reward_names}


def with_answers(answers: Answers) -> dict[str, Tensor]:
    """Return the arguments of a forward of all answers, each behind the prompt.

    Processors put the samples of a batch one after the other in each of their tensors. So a batch of the same prompt
    is each tensor, so many times.

    Args:
        answers: Answers to one post.
    """
    rows = len(answers.tokens)
    inputs = {name: torch.cat([value] * rows) for name, value in answers.prompt.items()}
    prompt = inputs["input_ids"]
    inputs["input_ids"] = torch.cat([prompt, answers.tokens], dim=1)
    inputs["attention_mask"] = torch.cat([inputs["attention_mask"], answers.mask], dim=1)
    for name in ("token_type_ids", "mm_token_type_ids"):
        if name in inputs:
            inputs[name] = torch.cat([inputs[name], torch.zeros_like(answers.tokens)], dim=1)
    return inputs


def score_answers(
    model: Model | nn.Module,
    answers: Answers,
    device: torch.device,
    *,
    temperature: float,
    shared: Callable[[int], AbstractContextManager[None]] = lambda num_tokens: nullcontext(),
) -> tuple[Tensor, Tensor]:
    """Return log-probability and entropy of each token of answers after their grammar, ``(answers, tokens)`` each.

    Args:
        model: Policy.
        answers: Answers to one post.
        device: Device of the policy.
        temperature: Temperature at which answers are drawn.
        shared: Context in which the first tokens, so many of them, are those of all rows.
    """
    inputs = {name: value.to(device) for name, value in with_answers(answers).items()}
    length = answers.tokens.shape[1]
    with shared(inputs["input_ids"].shape[1] - length):
        outputs = model(**inputs, logits_to_keep=length + 1, use_cache=False)
    logits = outputs.logits[:, :-1].float() / temperature
    legal = legal_scores(logits, answers.allowed.to(device)).log_softmax(dim=-1)
    logprobs = legal.gather(-1, answers.tokens.to(device).unsqueeze(-1)).squeeze(-1)
    with torch.no_grad():
        entropy = torch.special.entr(legal.exp()).sum(dim=-1)
    return logprobs, entropy


def legal_scores(logits: Tensor, allowed: Tensor) -> Tensor:
    """Return scores with ``-inf`` for the tokens that a grammar forbids.

    Args:
        logits: Scores, ``(answers, tokens, vocabulary)``.
        allowed: Allowed tokens, a bit each, ``(answers, tokens, bytes)``.
    """
    shifts = torch.arange(8, dtype=torch.uint8, device=allowed.device)
    bits = (allowed.unsqueeze(-1) >> shifts & 1).flatten(-2)[..., : logits.shape[-1]]
    return logits.masked_fill(bits == 0, float("-inf"))
