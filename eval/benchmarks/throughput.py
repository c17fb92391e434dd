"""Posts a second: vLLM against batched ``generate``, ``tag`` against vLLM's chat API, and what the constraint costs.

    taskset -c 1 python -m eval.benchmarks.throughput starter --output throughput-starter.json
    taskset -c 1 python -m eval.benchmarks.throughput 256m --posts 24 --slow-posts 6 --output throughput-256m.json

``256m`` is SmolVLM-256M's shape with random weights, one tile a picture; ``256m-text`` is the same without
pictures. All sides run in turns, so that whatever else the machine does hits them alike; each turn is of other posts,
which no cache has seen. Both sides of a comparison write the same format under the same constraint, greedily:

- answers as lines, under the grammar: ``generate`` of transformers in batches, ``tag --engine vllm``;
- answers as JSON, under vLLM's ``response_format: json_schema``: the client of OpenAI as vLLM's documentation shows it
  (one request after the other), the same from 32 threads, ``tag --endpoint --constraint schema --concurrency 32``;
- as many tokens with the grammar and without it: what the constraint costs.

Prints one JSON object.
"""

from __future__ import annotations

import argparse
import os
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from eval.benchmarks.report_file import print_report
from eval.gates.common import seeded
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.engines.endpoint import Endpoint, EndpointEngine
from instruct_mner.engines.engine import Engine, Request
from instruct_mner.engines.transformers import TransformersEngine
from instruct_mner.engines.vllm import VllmEngine
from instruct_mner.models.loading import load_model
from instruct_mner.schema.records import Example
from instruct_mner.synthetic.label_sets import COARSE
from instruct_mner.synthetic.posts import posts
from instruct_mner.synthetic.scene import draw_scene
from instruct_mner.synthetic.settings import Synthesis
from instruct_mner.tagging.tagger import Tagger
from instruct_mner.vllm_runtime.command import server_arguments, vllm_command, vllm_environment
from instruct_mner.vllm_runtime.plan import Plan
from instruct_mner.vllm_runtime.process import VllmProcess, free_port

Post = tuple[Example, tuple[Image.Image, ...]]
Side = Callable[[Sequence[Post]], int]
"""Answers posts; the number of tokens that it wrote."""


def build_256m(folder: Path) -> Path:
    """Write a model of SmolVLM-256M's shape, random weights and as many tokens, and return its folder.

    Source: config.json of https://huggingface.co/HuggingFaceTB/SmolVLM-256M-Instruct.
    """
    import torch
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration, Idefics3ImageProcessor, Idefics3Processor

    from instruct_mner.testing.idefics import VOCABULARY
    from instruct_mner.testing.tokenizer import train_tokenizer

    generator = seeded(0)
    words = [" ".join("".join(generator.choices("etaoinshrdlu", k=7)) for _ in range(20)) for _ in range(5_000)]
    texts = [post.text for post in islice(posts(Synthesis(split="train"), 0), 2_000)]
    tokenizer = train_tokenizer(VOCABULARY, [*words, *texts * 5], 49_280)
    start, pad, end, image = tokenizer.convert_tokens_to_ids(
        ["<|im_start|>", "<|endoftext|>", "<end_of_utterance>", "<image>"]
    )
    config = Idefics3Config(
        text_config={
            "model_type": "llama", "vocab_size": 49_280, "hidden_size": 576, "intermediate_size": 1536,
            "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
            "max_position_embeddings": 8192, "bos_token_id": start, "eos_token_id": end, "pad_token_id": pad,
        },
        vision_config={
            "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
            "image_size": 512, "patch_size": 16,
        },
        scale_factor=4, image_token_id=image, pad_token_id=pad, tie_word_embeddings=False,
    )  # fmt: skip
    sizes = {"size": {"longest_edge": 512}, "max_image_size": {"longest_edge": 512}}
    images = Idefics3ImageProcessor(**sizes, do_image_splitting=False)
    processor = Idefics3Processor(images, tokenizer, image_seq_len=64, chat_template=VOCABULARY.chat_template)
    torch.manual_seed(0)
    model = Idefics3ForConditionalGeneration(config).to(torch.bfloat16)
    with torch.no_grad():
        # Neither "none", "[]" nor the end at once, which would leave nothing to measure: all tokens that these begin
        # with lie opposite to what an answer's beginning leads to.
        states = [state for begun in ("", " ", " [", "[") for state in _first_states(model, processor, begun)]
        away = -sum(states) / len(states) * model.lm_head.weight[start].norm()
        for token, number in tokenizer.get_vocab().items():
            text = tokenizer.convert_tokens_to_string([token])
            if number == end or (text and any(each.startswith(text) for each in (" none", "none", " []", "[]", "]"))):
                model.lm_head.weight[number] = away if text not in (" ", "[", " [") else 0
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = end, pad
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _first_states(model: Any, processor: Any, begun: str) -> list[Any]:
    """Return the last states of prompts with a picture and without, after the beginning of an answer."""
    states = []
    for example, images in made_posts(2, pictures=True):
        for pictures in ((), images):
            content = [*({"type": "image"} for _ in pictures), {"type": "text", "text": f"\nPost: {example.text}"}]
            messages = [{"role": "user", "content": content}]
            text = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False) + begun
            inputs = processor(text=[text], images=[list(pictures)] if pictures else None, return_tensors="pt")
            state = model.model(**inputs.to(model.dtype)).last_hidden_state[0, -1]
            states.append(state / state.norm())
    return states


def made_posts(num: int, *, pictures: bool) -> list[Post]:
    """Return a number of synthetic posts, each with a picture of its own."""
    made = islice(posts(Synthesis(split="test"), 5), num)
    return [
        (Example(id=str(number), text=post.text), (draw_scene(post).image,) if pictures else ())
        for number, post in enumerate(made)
    ]


class Sides:
    """All programs that answer, on one model.

    Args:
        name: Name or folder of the model.
        plan: Plan of the model for vLLM.
        url: Address of a plain vLLM server of the model.
        key: Key of the server.
        flags: Flags of vLLM in this process.
        batch_size: Batch size of ``generate``.
    """

    def __init__(self, name: str, plan: Plan, url: str, key: str, flags: Sequence[str], batch_size: int) -> None:
        served = plan.whole
        spec = served.manifest.answer.with_labels(COARSE.label_set()).model_copy(update={"max_entities": 4})
        self._lines = spec.model_copy(update={"format": "lines"})
        self._json = spec.model_copy(update={"format": "json"})
        self.vllm = VllmEngine(plan, flags)
        self._transformers = TransformersEngine(load_model(name), batch_size)
        self._maker = Tagger(self.vllm, served.manifest, served.prompt)
        schema = Endpoint(url, served.name, constraint="schema", concurrency=32, scores=False, timeout_seconds=3600)
        self._endpoint = EndpointEngine(schema, served.description, key)
        self._url, self._key = url, key
        self._is_served = bool(key)

    def requests(self, chosen: Sequence[Post], spec: AnswerSpec) -> list[Request]:
        """Return the requests about posts."""
        return [self._maker.questions.question(example, images, spec).request for example, images in chosen]

    def by_name(self) -> dict[str, Side]:
        """Return all sides by name."""
        here = {
            "lines: generate of transformers": lambda each: self._generate(self._transformers, each, self._lines),
            "lines: tag --engine vllm": lambda each: self._generate(self.vllm, each, self._lines),
            "json grammar: tag --engine vllm": lambda each: self._generate(self.vllm, each, self._json),
        }
        there = {
            "json schema: chat API as documented": lambda each: self._chat(each, 1),
            "json schema: chat API, 32 threads": lambda each: self._chat(each, 32),
            "json schema: tag --endpoint": lambda each: self._generate(self._endpoint, each, self._json),
        }
        return {**here, **(there if self._is_served else {})}

    def _generate(self, engine: Engine, chosen: Sequence[Post], spec: AnswerSpec) -> int:
        return sum(self.vllm.count_tokens(each.text) for each in engine.generate(self.requests(chosen, spec)))

    def _chat(self, chosen: Sequence[Post], threads: int) -> int:
        """Return the number of tokens that OpenAI's client gets, as vLLM's documentation uses it.

        Source: https://docs.vllm.ai/en/latest/features/structured_outputs
        """
        from openai import OpenAI

        client = OpenAI(base_url=f"{self._url}/v1", api_key=self._key, timeout=3600)
        bodies = [self._endpoint._body(request, 0.0, 0) for request in self.requests(chosen, self._json)]

        def ask(body: dict[str, Any]) -> int:
            body = {name: value for name, value in body.items() if name != "seed"}
            return int(client.chat.completions.create(**body).usage.completion_tokens)

        if threads == 1:
            return sum(map(ask, bodies))
        with ThreadPoolExecutor(threads) as pool:
            return sum(pool.map(ask, bodies))

    def cost_of_constraint(self, chosen: Sequence[Post]) -> tuple[float, float, int]:
        """Return seconds with the grammar, seconds without it for as many tokens, and the number of tokens."""
        requests = self.requests(chosen, self._lines)
        prompts = [self.vllm._prompt(request) for request in requests]
        with_it = [self.vllm._sampling(request, 0.0, 0) for request in requests]
        outputs, slow = self._fresh(prompts, with_it)
        without = [self.vllm._sampling(replace(request, grammar=None), 0.0, 0) for request in requests]
        for settings, output in zip(without, outputs, strict=True):
            settings.max_tokens = settings.min_tokens = len(output.outputs[0].token_ids)
        free, quick = self._fresh(prompts, without)
        num_tokens = [sum(len(each.outputs[0].token_ids) for each in each_run) for each_run in (outputs, free)]
        assert num_tokens[0] == num_tokens[1]
        return slow, quick, num_tokens[0]

    def _fresh(self, prompts: Sequence[Any], settings: Sequence[Any]) -> tuple[Sequence[Any], float]:
        """Return answers and their seconds, with empty caches."""
        self.vllm._llm.reset_prefix_cache()
        self.vllm._llm.reset_mm_cache()
        self.vllm._llm.llm_engine.reset_encoder_cache()
        begin = time.perf_counter()
        return self.vllm._run(prompts, settings), time.perf_counter() - begin


def measure(chosen: argparse.Namespace, sides: Sides) -> dict[str, Any]:
    """Run all sides in turns and return their rates."""
    known = sides.by_name()
    size = {name: chosen.slow_posts if "documented" in name else chosen.posts for name in known}
    needed = (chosen.rounds + 1) * chosen.posts * (len(known) + 1)
    made = iter(made_posts(needed, pictures=chosen.model != "256m-text"))
    seconds: dict[str, list[float]] = {name: [] for name in known}
    tokens: dict[str, list[float]] = {name: [] for name in known}
    constrained, free = [], []
    for turn in range(chosen.rounds + 1):
        for name, side in known.items():
            mine = list(islice(made, size[name] if turn else 4))
            begin = time.perf_counter()
            written = side(mine)
            if turn:  # the first warms up
                seconds[name].append((time.perf_counter() - begin) / len(mine))
                tokens[name].append(written / len(mine))
        if turn:
            slow, quick, _ = sides.cost_of_constraint(list(islice(made, chosen.posts)))
            constrained.append(slow)
            free.append(quick)
        print(f"turn {turn} of {chosen.rounds}", file=sys.stderr, flush=True)
    rate = {name: len(each) / sum(each) for name, each in seconds.items()}

    def times(fast: str, slow: str) -> dict[str, Any]:
        each = [b / a for a, b in zip(seconds[fast], seconds[slow], strict=True)]
        return {"ratio": round(rate[fast] / rate[slow], 2), "of each turn": [round(value, 2) for value in each]}

    chat, threads = "json schema: chat API as documented", "json schema: chat API, 32 threads"
    pairs = {
        "tag --engine vllm against generate": ("lines: tag --engine vllm", "lines: generate of transformers"),
        "tag --endpoint against chat API as documented": ("json schema: tag --endpoint", chat),
        "tag --endpoint against chat API, 32 threads": ("json schema: tag --endpoint", threads),
        "tag --engine vllm against chat API as documented": ("json grammar: tag --engine vllm", chat),
    }
    return {
        "posts a second": {name: round(value, 2) for name, value in rate.items()},
        "tokens a post": {name: round(statistics.mean(each), 1) for name, each in tokens.items()},
        **{what: times(*pair) for what, pair in pairs.items() if set(pair) <= set(known)},
        "cost of the constraint": {
            "ratio": round(sum(constrained) / sum(free), 3),
            "of each turn": [round(a / b, 3) for a, b in zip(constrained, free, strict=True)],
        },
    }


def _serving(plan: Plan, flags: Sequence[str], stack: ExitStack) -> tuple[str, str]:
    """Start a plain vLLM server, and return its address and its key."""
    port, key = free_port(), secrets.token_urlsafe(16)
    url = f"http://127.0.0.1:{port}"
    environment = {**os.environ, **vllm_environment(), "VLLM_API_KEY": key}
    command = vllm_command(server_arguments(plan, extra=flags), "127.0.0.1", port)
    server = stack.enter_context(VllmProcess(command, url, environment))

    def is_ready() -> bool:
        try:
            return httpx.get(f"{url}/health", timeout=5).is_success
        except httpx.TransportError:
            return False

    server.wait_until_ready(is_ready, lambda _: None)
    return url, key


def main() -> None:
    """Print the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="starter, 256m, 256m-text, or a folder")
    parser.add_argument("--posts", type=int, default=128, help="posts of a turn; default 128")
    parser.add_argument(
        "--slow-posts",
        type=int,
        default=16,
        help="posts of a turn of a side that sends one after the other; default 16",
    )
    parser.add_argument("--rounds", type=int, default=3, help="number of turns; default 3")
    parser.add_argument("--batch-size", type=int, default=32, help="batch size of generate; default 32")
    parser.add_argument("--vllm", action="append", default=[], help="flag of vLLM, for all of its sides")
    parser.add_argument(
        "--server",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether to run the sides that need a server",
    )
    parser.add_argument("--output", type=Path, help="file of the report")
    chosen = parser.parse_args()
    flags = ["--max-model-len=2048", *chosen.vllm]
    with ExitStack() as stack:
        name = chosen.model
        if name.startswith("256m"):
            name = str(build_256m(Path(stack.enter_context(tempfile.TemporaryDirectory())) / "256m"))
        plan = VllmEngine.plan(name)
        url, key = _serving(plan, flags, stack) if chosen.server else ("http://127.0.0.1:1", "")
        sides = Sides(name, plan, url, key, flags, chosen.batch_size)
        report = {"model": chosen.model, "posts of a turn": chosen.posts, **measure(chosen, sides)}
    print_report(report, chosen.output)


if __name__ == "__main__":
    main()
