"""Architecture of the starter model before training: tokenizer, processor, and a stock Idefics3."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from eval.starter_training.attention_init import NUM_HEADS, NUM_LAYERS, WIDTH, place_heads
from instruct_mner.synthetic.label_sets import COARSE, FINE, HOME, Domain
from instruct_mner.synthetic.objects import DRAWINGS
from instruct_mner.synthetic.scene import SIZES
from instruct_mner.synthetic.settings import COLOURS, Synthesis
from instruct_mner.synthetic.vocabulary import rhymes, wording
from instruct_mner.testing import idefics
from instruct_mner.testing.tokenizer import train_tokenizer

VOCABULARY_SIZE = 1408
PATCH_SIZE, SCALE_FACTOR = 12, 2

# What the starter may see; `HELD_OUT` and the names of `RENAMED` are for its users to tune it on.
KNOWN_DOMAINS: tuple[Domain, ...] = (COARSE, FINE, HOME)
HELD_OUT_DRAWINGS = frozenset(("fish", "cat", "tree", "flower", "cone", "pizza", "hammer", "key"))
KNOWN_DRAWINGS = tuple(name for name in DRAWINGS if name not in HELD_OUT_DRAWINGS)


def tokens_per_side(level: int) -> int:
    """Return the number of image tokens in a row of a picture."""
    return SIZES[level] // PATCH_SIZE // SCALE_FACTOR


def key_words() -> tuple[str, ...]:
    """Return the words that image tokens learn to point to; each is one token."""
    types = [kind.definition for domain in KNOWN_DOMAINS for kind in domain.types]
    places = ["top", "bottom", "left", "right", "middle"]
    return tuple(dict.fromkeys([*types, *KNOWN_DRAWINGS, *COLOURS, *places, "none"]))


def corpus() -> Iterator[str]:
    """Yield the texts that the tokenizer is trained on: posts, prompts and both answer formats, without the names.

    Names stay in small pieces, as unseen names do, so that all names are copied in the same way.
    """
    labels = [kind.name for domain in KNOWN_DOMAINS for kind in domain.types]
    affixes = {
        each.strip() for domain in KNOWN_DOMAINS for kind in domain.types for each in kind.prefixes + kind.suffixes
    }
    phrases = [each for domain in KNOWN_DOMAINS for kind in domain.types for each in kind.before + kind.after]
    for _ in range(30):
        yield from (f" {word}" for word in key_words())
        yield from (form for label in labels for form in (f" {label}", label))
        yield from (f" {each} {each[0].upper()}{each[1:]}" for each in (*wording(), *phrases))
        yield from (word for places in (Synthesis().places, Synthesis(level=1).places) for word in places)
        yield "\nPost: RT . ! , ... & ( # @ in ) :)\nDescribe the picture. What is in the top left? ANSWER: none\n"
    for _ in range(10):
        yield from rhymes()
        yield from (f" {each}" for each in sorted(affixes))
        yield '[{"text":"mention","label":""},{"text":"","label":"","box":[12,40,88,97]}] [12, 40, 88, 97] [] {} []\n'
        yield from _instructions()
    yield from (f" {letter} {letter}{letter.lower()}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def _instructions() -> Iterator[str]:
    from instruct_mner.answers.spec import AnswerSpec
    from instruct_mner.prompting.templates import find_prompt

    for name, form, grounded in (("tag", "lines", False), ("tag-grounded", "lines", True), ("zero-shot", "json", True)):
        spec = AnswerSpec.model_validate(
            {"format": form, "grounded": grounded, "labels": COARSE.label_set(definitions=True)}
        )
        yield find_prompt(name).instruction(spec)


def build_processor(level: int = 0) -> Any:
    """Return the processor. A picture is one tile: 96 pixels and 16 tokens, at level 1 144 pixels and 36 tokens."""
    from transformers import Idefics3ImageProcessor, Idefics3Processor

    tokenizer = train_tokenizer(idefics.VOCABULARY, corpus(), VOCABULARY_SIZE, digits=True)
    images = Idefics3ImageProcessor(
        size={"longest_edge": SIZES[level]}, max_image_size={"longest_edge": SIZES[level]}, do_image_splitting=False
    )
    return Idefics3Processor(
        images, tokenizer, image_seq_len=tokens_per_side(level) ** 2, chat_template=idefics.VOCABULARY.chat_template
    )


def build_model(tokenizer: Any, *, seed: int = 0, level: int = 0) -> Any:
    """Return the model in float32, with its copying heads initialised."""
    import torch
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration

    torch.manual_seed(seed)
    settings = idefics.settings(tokenizer, WIDTH, NUM_LAYERS)
    settings["vision_config"] = {
        "hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 4, "num_attention_heads": 4,
        "image_size": SIZES[level], "patch_size": PATCH_SIZE, "hidden_act": "gelu_pytorch_tanh",
    }  # fmt: skip
    settings["scale_factor"] = SCALE_FACTOR
    settings["text_config"].update(
        intermediate_size=704, num_attention_heads=NUM_HEADS, num_key_value_heads=NUM_HEADS,
        max_position_embeddings=2048, rope_theta=10000.0, tie_word_embeddings=True,
    )  # fmt: skip
    model = Idefics3ForConditionalGeneration(Idefics3Config(**settings))
    model.set_attn_implementation("eager")
    decoder = model.model.text_model
    place_heads(decoder, tokenizer)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model
