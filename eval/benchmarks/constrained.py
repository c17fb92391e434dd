"""Legality of completions at temperature 1.5 on posts that try to break an answer: none malformed, none hallucinated.

    instruct-mner serve RUN &
    python -m eval.benchmarks.constrained http://127.0.0.1:8000 --model NAME --num 1000
    python -m eval.benchmarks.constrained vllm --model FOLDER --num 1000       vLLM in this process

Half of the posts are made to break an answer; one in 200 has 2,000 words, for which the window must be large:
``--window 16384`` stretches that of a model with rotary positions, such as the starter, whose own is 2,048. Answers are
lines and JSON, with and without boxes and pictures, with labels that no model has seen. The program prints one JSON
object; its exit code is 1 where anything is wrong. The key of a server, if any, is read from ``OPENAI_API_KEY``.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image

from eval.benchmarks.report_file import print_report
from eval.gates.common import seeded
from eval.gates.posts import ADVERSARIAL, random_spec, shown_texts, what_is_wrong
from instruct_mner.answers import codec
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.engines.endpoint import Endpoint, EndpointEngine
from instruct_mner.engines.engine import Completion, Engine, Request
from instruct_mner.errors import ServingError
from instruct_mner.models.locations import locate
from instruct_mner.prompting.conversation import user_messages
from instruct_mner.prompting.templates import find_prompt, shown_text
from instruct_mner.tagging.question import max_answer_tokens

_BATCH = 32
# The share of posts of 2,000 words, which take a hundred times as long, and of others that are made to break an answer.
_LONG, _ADVERSARIAL = 0.005, 0.5
_LONG_CHARACTERS = 10_000


def main() -> int:
    """Print the counts of all completions and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", help="address of a server, or 'vllm'")
    parser.add_argument("--model", required=True, help="name at the server; with 'vllm' a folder or hub name")
    parser.add_argument("--num", type=int, default=1000, help="number of completions; default 1000")
    parser.add_argument("--temperature", type=float, default=1.5, help="temperature of sampling; default 1.5")
    parser.add_argument("--seed", type=int, default=0, help="seed of posts and sampling; default 0")
    parser.add_argument("--prefix", default="", help="text that the chat template puts before an answer")
    parser.add_argument("--vllm", action="append", default=[], help="flag of vLLM, with 'vllm'")
    parser.add_argument("--window", type=int, help="tokens of prompt and answer, with 'vllm' and a folder")
    parser.add_argument(
        "--seconds", type=float, default=float("inf"), help="seconds after which no more completions are drawn"
    )
    parser.add_argument("--batch", type=int, default=_BATCH, help="requests sent at once; default 32")
    parser.add_argument("--long", type=float, default=_LONG, help="share of posts of 2,000 words; default 0.005")
    parser.add_argument("--output", type=Path, help="file of the report")
    chosen = parser.parse_args()
    folder = chosen.model if chosen.window is None else str(stretched(chosen.model, chosen.window))
    engine = _engine(chosen.engine, folder, chosen.vllm)
    begin = time.perf_counter()
    counts, wrong = draw(engine, chosen)
    report = {
        "model": chosen.model,
        "temperature": chosen.temperature,
        **counts,
        "wrong": len(wrong),
        "first wrong": wrong[:3],
        "seconds": round(time.perf_counter() - begin, 1),
    }
    print_report(report, chosen.output)
    return int(bool(wrong) or counts["completions"] < chosen.num)


def stretched(name: str, window: int) -> Path:
    """Return a copy of a model with a larger window; answers beyond its own are meaningless but must be legal."""
    folder = Path(tempfile.mkdtemp()) / "stretched"
    shutil.copytree(locate(name), folder)
    # As a base model: its manifest would be that of the original.
    (folder / "mner.json").unlink(missing_ok=True)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["text_config"]["max_position_embeddings"] = window
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def _engine(name: str, model: str, flags: list[str]) -> Engine:
    if name == "vllm":
        from instruct_mner.engines.vllm import VllmEngine

        return VllmEngine(VllmEngine.plan(model), flags)
    return EndpointEngine(Endpoint(name, model, concurrency=_BATCH))


def draw(engine: Engine, chosen: argparse.Namespace) -> tuple[Counter[str], list[str]]:
    """Draw completions, each on a random post with a random specification, and return counts and defects."""
    num, seed = chosen.num, chosen.seed
    questions = _questions(engine, seeded(seed), chosen.prefix, chosen.long)
    counts: Counter[str] = Counter(completions=0, malformed=0, hallucinated=0, unplaceable=0, entities=0)
    wrong: list[str] = []
    printed, until = 0, time.monotonic() + chosen.seconds
    while counts["completions"] < num and counts["refused"] < num and time.monotonic() < until:
        batch = list(islice(questions, min(chosen.batch, num - counts["completions"])))
        seed += 1
        if counts["completions"] >= printed + 500:
            printed = counts["completions"]
            print(f"{printed} of {num}, {len(wrong)} wrong", file=sys.stderr, flush=True)
        answers = _answers(engine, batch, chosen.temperature, seed)
        for (spec, text, request), completion in zip(batch, answers, strict=True):
            if completion is None:
                counts["refused"] += 1
            elif reason := _examine(spec, text, completion, len(request.images), counts):
                wrong.append(f"{reason}: {completion.text[:200]!r} on {text[:100]!r}")
    return counts, wrong


def _questions(engine: Engine, generator: random.Random, prefix: str, share_long: float) -> Any:
    prompt = find_prompt("zero-shot")
    known = shown_texts()
    adversarial, real = known[: len(ADVERSARIAL)], known[len(ADVERSARIAL) :]
    long = [text for text in known if len(text) >= _LONG_CHARACTERS]
    short = [text for text in adversarial if len(text) < _LONG_CHARACTERS]
    while True:
        draw = generator.random()
        texts = long if draw < share_long else short if draw < share_long + _ADVERSARIAL else real
        text = shown_text(generator.choice(texts), engine.special_tokens())
        spec = random_spec(generator).model_copy(update={"prefix": prefix})
        colour = generator.choice(["red", "navy"])
        images = tuple(Image.new("RGB", (64, 48), colour) for _ in range(generator.randint(0, 1)))
        yield (
            spec,
            text,
            Request(
                user_messages(prompt, spec, text, len(images)),
                images,
                codec.grammar(spec, text, len(images)),
                max_answer_tokens(spec, text, engine.count_tokens),
            ),
        )


def _answers(engine: Engine, batch: list[Any], temperature: float, seed: int) -> list[Completion | None]:
    """Return the answers; ``None`` for a post that is too long for the server."""
    requests = [request for _, _, request in batch]
    try:
        return list(engine.generate(requests, temperature=temperature, seed=seed))
    except ServingError as error:
        if len(requests) == 1:
            if error.status in {400, 422}:
                return [None]
            raise
    return [answer for one in batch for answer in _answers(engine, [one], temperature, seed)]


def _examine(spec: AnswerSpec, text: str, completion: Completion, num_images: int, counts: Counter[str]) -> str | None:
    """Parse a completion, add to the counts, and return its defect, if any.

    Of an answer that was cut (a random model repeats itself until its tokens are spent) only the cut is malformed.
    """
    answer = codec.parse(spec, text, completion.text, num_images, finished=completion.finished)
    cut = 0 if completion.finished else 1
    counts["completions"] += 1
    counts["on posts of 2,000 words"] += len(text) >= _LONG_CHARACTERS
    counts["cut"] += cut
    counts["entities"] += len(answer.entities)
    counts["boxes"] += sum(entity.box is not None for entity in answer.entities)
    counts["malformed"] += answer.rejected.malformed - cut
    counts["hallucinated"] += answer.rejected.hallucinated
    counts["unplaceable"] += answer.rejected.unplaceable
    if answer.rejected.malformed > cut or answer.rejected.hallucinated:
        return f"rejected {answer.rejected}"
    # The text is copied once, which bounds the entities of inline answers by itself.
    if spec.format != "inline" and len(answer.entities) + answer.rejected.unplaceable > spec.capacity(text):
        return "more entities than the cap"
    return what_is_wrong(spec, text, completion.text, num_images, answer)


if __name__ == "__main__":
    sys.exit(main())
