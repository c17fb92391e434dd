"""What the starter model is before it has learned anything: tokenizer, processor, and a stock Idefics3.

Its weights begin with two kinds of attention heads in place, previous-token heads and induction heads, which copy.
From a random start copying is not learned in hours on a CPU; with them it takes seconds. Nothing but the weights is
set, so that the model stays what any library loads.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from instruct_mner.models.tiny import idefics
from instruct_mner.models.tiny.tokenizer import train_tokenizer
from instruct_mner.starter.domains import COARSE, FINE, HOME, Domain
from instruct_mner.starter.kinds import DRAWINGS
from instruct_mner.starter.posts import COLOURS, Synthesis
from instruct_mner.starter.words import rhymes, wording

VOCABULARY_SIZE = 1408
WIDTH, NUM_LAYERS, NUM_HEADS = 256, 6, 4
IMAGE_SIZE, PATCH_SIZE, SCALE_FACTOR = 96, 12, 2
NUM_IMAGE_TOKENS = (IMAGE_SIZE // PATCH_SIZE // SCALE_FACTOR) ** 2

# What the starter may see; `HELD_OUT` and the names of `RENAMED` are for its users to tune it on.
KNOWN_DOMAINS: tuple[Domain, ...] = (COARSE, FINE, HOME)
HELD_OUT_DRAWINGS = frozenset(("fish", "cat", "tree", "flower", "cone", "pizza", "hammer", "key"))
KNOWN_DRAWINGS = tuple(name for name in DRAWINGS if name not in HELD_OUT_DRAWINGS)


def key_words() -> tuple[str, ...]:
    """The words that image tokens learn to point to; each is one token."""
    types = [kind.definition for domain in KNOWN_DOMAINS for kind in domain.types]
    places = ["top", "bottom", "left", "right", "middle"]
    return tuple(dict.fromkeys([*types, *KNOWN_DRAWINGS, *COLOURS, *places, "none"]))


def corpus() -> Iterator[str]:
    """What merges are learned from: the words of posts, prompts and both answer formats, but not the names.

    Names are left in small pieces, as unseen names are, so that all are copied in the same way.
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
    from instruct_mner.answers import AnswerSpec
    from instruct_mner.prompts import find_prompt

    for name, form, grounded in (("tag", "lines", False), ("tag-grounded", "lines", True), ("zero-shot", "json", True)):
        spec = AnswerSpec.model_validate(
            {"format": form, "grounded": grounded, "labels": COARSE.label_set(definitions=True)}
        )
        yield find_prompt(name).instruction(spec)


def build_processor() -> Any:
    """The processor: one picture is one tile of 96 pixels, 16 tokens."""
    from transformers import Idefics3ImageProcessor, Idefics3Processor

    tokenizer = train_tokenizer(idefics.VOCABULARY, corpus(), VOCABULARY_SIZE, digits=True)
    images = Idefics3ImageProcessor(
        size={"longest_edge": IMAGE_SIZE}, max_image_size={"longest_edge": IMAGE_SIZE}, do_image_splitting=False
    )
    return Idefics3Processor(
        images, tokenizer, image_seq_len=NUM_IMAGE_TOKENS, chat_template=idefics.VOCABULARY.chat_template
    )


def build_model(tokenizer: Any, *, seed: int = 0) -> Any:
    """The model, with its heads for copying in place; float32."""
    import torch
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration

    torch.manual_seed(seed)
    settings = idefics.settings(tokenizer, WIDTH, NUM_LAYERS)
    settings["vision_config"] = {
        "hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 4, "num_attention_heads": 4,
        "image_size": IMAGE_SIZE, "patch_size": PATCH_SIZE, "hidden_act": "gelu_pytorch_tanh",
    }  # fmt: skip
    settings["scale_factor"] = SCALE_FACTOR
    settings["text_config"].update(
        intermediate_size=704, num_attention_heads=NUM_HEADS, num_key_value_heads=NUM_HEADS,
        max_position_embeddings=2048, rope_theta=10000.0, tie_word_embeddings=True,
    )  # fmt: skip
    model = Idefics3ForConditionalGeneration(Idefics3Config(**settings))
    model.set_attn_implementation("eager")
    _initialise(model.model.text_model)
    _place_copying_heads(model.model.text_model)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model


def _initialise(decoder: Any) -> None:
    """Weights that keep the scale of what goes through them; what is written back to the residual is small."""
    import torch

    with torch.no_grad():
        for name, weight in decoder.named_parameters():
            if weight.ndim == 2:
                scale = 0.15 if "o_proj" in name or "down_proj" in name else 1.0
                weight.normal_(0, scale * weight.shape[1] ** -0.5)


def _orthonormal(rows: int, width: int, away_from: Any) -> Any:
    """Random orthonormal rows, orthogonal to a unit vector, ``(rows, width)``."""
    import torch

    random = torch.randn(width, rows)
    return torch.linalg.qr(random - away_from[:, None] * (away_from @ random))[0].T


def _place_copying_heads(decoder: Any, *, sharpness: float = 0.51, match: float = 1.6, copied: float = 0.4) -> None:
    """Sets two previous-token heads in layer 0 and two induction heads in layer 1.

    One direction is made constant over all embeddings. From it the heads of layer 0 make a query and a key that do
    not depend on the token, so that after rotation their product peaks one and two positions back; they write what
    they find into subspaces of their own. The heads of layer 1 compare the current token with these subspaces, in
    the dimensions that rotate too slowly to tell positions apart, and copy what follows.

    Source: Olsson et al., "In-context Learning and Induction Heads", arXiv:2209.11895, as an initialisation.
    """
    import torch

    size = WIDTH // NUM_HEADS
    half = size // 2
    speeds = 10000.0 ** (-torch.arange(half) / half)
    slow = torch.arange(half)[speeds < 0.0075]
    slow = torch.cat([slow, slow + half])
    first, second = (decoder.layers[index].self_attn for index in (0, 1))
    with torch.no_grad():
        constant = torch.nn.functional.normalize(torch.randn(WIDTH), dim=0)
        table = decoder.embed_tokens.weight
        table.sub_((table @ constant)[:, None] * constant)
        table.div_(table.norm(dim=1, keepdim=True)).add_(constant)
        subspaces = _orthonormal(2 * len(slow), WIDTH, constant)
        query = torch.cat([torch.ones(half), torch.zeros(half)])
        for head, distance in enumerate((1, 2)):
            rows = slice(head * size, (head + 1) * size)
            own = slice(head * size, head * size + len(slow))
            key = torch.cat([torch.cos(speeds * distance), torch.sin(speeds * distance)])
            read = _orthonormal(len(slow), WIDTH, constant)
            written = subspaces[head * len(slow) : (head + 1) * len(slow)]
            first.q_proj.weight[rows] = sharpness * torch.outer(query, constant)
            first.k_proj.weight[rows] = sharpness * torch.outer(key, constant)
            first.v_proj.weight[rows] = 0
            first.v_proj.weight[own] = read
            first.o_proj.weight[:, rows] = 0
            first.o_proj.weight[:, own] = 0.063 * (WIDTH / len(slow)) ** 0.5 * written.T
            if head == 0:
                current, previous = read, written
        for head in (0, 1):
            rows = slice(head * size, (head + 1) * size)
            second.q_proj.weight[rows] = 0
            second.k_proj.weight[rows] = 0
            second.q_proj.weight[head * size + slow] = match * current
            second.k_proj.weight[head * size + slow] = match * previous
            value = _orthonormal(size, WIDTH, constant)
            second.v_proj.weight[rows] = value
            second.o_proj.weight[:, rows] = copied * value.T


def place_carrying_heads(decoder: Any, layer: int, heads: tuple[int, ...], *, strength: float = 0.4) -> None:
    """Lets heads write to the residual what they find there, so that only where they look is left to learn."""
    import torch

    attention = decoder.layers[layer].self_attn
    size = WIDTH // NUM_HEADS
    zero = torch.zeros(WIDTH)
    with torch.no_grad():
        for head in heads:
            rows = slice(head * size, (head + 1) * size)
            value = _orthonormal(size, WIDTH, zero).to(attention.v_proj.weight)
            attention.v_proj.weight[rows] = value
            attention.o_proj.weight[:, rows] = strength * value.T
