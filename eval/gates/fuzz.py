"""Gate of the parser: no completion, however broken, makes it raise or return text that is not in the post."""

from __future__ import annotations

import random
import time
from collections import Counter

from eval.gates.common import Result, seeded
from eval.gates.posts import random_spec, real_texts, shown_texts, what_is_wrong
from instruct_mner.answers import codec
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.schema.offsets import chunks
from instruct_mner.schema.records import Box, Entity

_COMPLETIONS = 200_000

_PIECES = (
    "\n", "\r\n", "\r", "\n\n\n", "\u2028", "\x85", "\x00", "\ud800", "\ufffd", "\t", " ", "   ", "\u00a0",
    "\u200b",
    ": ", ":", " : ", "[", "]", " [", "] ", "[]", " []", " [] []", "[[", "]]", " [1, 2]", " [1, 2, 3, 4]",
    " [4, 3, 2, 1]", " [0, 0, 0, 0]", " [2, 1, 1, 1, 1]", " [1,2,3,4]", " [ 1, 2, 3, 4 ]", " [-1, 2, 3, 4]",
    " [1.5, 2, 3, 4]", " [1e9, 2, 3, 4]", " [٣, ٣, ٣, ٣]", " [²,  ²]", " [0, 0, 1000, 1000]",
    " [0, 0, 1001, 9]",
    " [999999999, 1, 1, 1]", " [9999999999, 1, 1, 1]", f" [{'9' * 5000}, 1, 2, 3]", " [, , , ]",
    " [,]", " [ ]",
    "none", "None", "none\n", "PER: ", "PER:", "per: x", "LOC: LOC: ", "{}", '[{"text":"Bob","label":"PER"}]',
    "```",
    "Here are the entities:\n", "- ", "1. ", "<|im_end|>", "é", "e\u0301", "王", "\U0001f602",
)  # fmt: skip

_LONG = (
    "[",
    "]",
    " [",
    " [1",
    " [1, ",
    "1, ",
    ": ",
    "PER: ",
    "\n",
    "PER: a\n",
    " ",
    "a",
    "[]",
    "\U0001f602",
    ",",
)


def parse_fuzz() -> Result:
    """Parse 200,000 broken completions: no exception, only spans of the text, none on another."""
    generator = seeded(41)
    texts = shown_texts()
    num_entities, slowest = 0, 0.0
    rejected: Counter[str] = Counter()
    wrong: list[str] = []
    for number in range(_COMPLETIONS):
        if number % 10 == 0:
            text, spec = generator.choice(texts), random_spec(generator)
            num_images = generator.randint(0, 3)
        completion = _completion(generator, spec, text, num_images)
        begin = time.perf_counter()
        try:
            answer = codec.parse(spec, text, completion, num_images, finished=generator.random() < 0.9)
        except Exception as error:
            wrong.append(f"{error!r} of {completion[:200]!r} on {text[:100]!r}")
            continue
        slowest = max(slowest, time.perf_counter() - begin)
        reason = what_is_wrong(spec, text, completion, num_images, answer)
        if reason:
            wrong.append(f"{reason} of {completion[:200]!r} on {text[:100]!r}")
        num_entities += len(answer.entities)
        rejected.update(answer.rejected.model_dump())
    value = {
        "completions": _COMPLETIONS,
        "real posts among the texts": len(real_texts()),
        "entities read": num_entities,
        **rejected,
        "slowest parse, ms": round(1000 * slowest, 1),
        "wrong": len(wrong),
        "first wrong": wrong[:3],
    }
    return Result(value=value, bound="no exception, no span outside of the text or on another", passed=not wrong)


def _completion(generator: random.Random, spec: AnswerSpec, text: str, num_images: int) -> str:
    """Return mostly a right answer with some damage, sometimes noise from the first character to the last."""
    kind = generator.random()
    if kind < 0.005:
        return _pathological(generator, spec)
    if kind < 0.08:
        return generator.randbytes(generator.randint(0, 200)).decode("utf-8", errors="replace")
    if kind < 0.15:
        return "".join(chr(_code_point(generator)) for _ in range(generator.randint(0, 60)))
    if kind < 0.25:
        return "".join(generator.choices(_PIECES, k=generator.randint(1, 30)))
    answer = spec.prefix + codec.render(spec, text, _entities(generator, spec, text, num_images), num_images)
    for _ in range(generator.choice([0, 1, 1, 2, 4, 8])):
        answer = _damaged(generator, answer)
    return answer


def _pathological(generator: random.Random, spec: AnswerSpec) -> str:
    """Return one piece many times, after the beginning of a line that is right."""
    repeated = generator.choice(_LONG) * generator.choice([50, 500, 5000])
    begin = f"{generator.choice(spec.labels.names)}: " if generator.random() < 0.7 else ""
    return begin + generator.choice(["", "a", "Bob [1"]) + repeated + generator.choice(["", "]", " [1, 2, 3, 4]"])


def _code_point(generator: random.Random) -> int:
    return generator.randrange(generator.choice([0x80, 0x3000, 0x11_0000]))


def _entities(generator: random.Random, spec: AnswerSpec, text: str, num_images: int) -> list[Entity]:
    """Return random spans of the text, in text order, some with a box; surfaces may be blank."""
    edges = [0]
    for chunk in chunks(text):
        edges.append(edges[-1] + len(chunk))
    cuts = sorted(set(generator.sample(edges, min(len(edges), 2 * generator.randint(0, 5)))))
    entities = []
    for start, end in zip(cuts[::2], cuts[1::2], strict=False):
        boxes = (_box(generator, spec, num_images),) if num_images and generator.random() < 0.7 else ()
        label = generator.choice(spec.labels.names)
        entities.append(Entity(start=start, end=end, text=text[start:end], label=label, boxes=boxes))
    return entities


def _box(generator: random.Random, spec: AnswerSpec, num_images: int) -> Box:
    x0, y0 = (generator.randrange(spec.box_limit) for _ in range(2))
    x1, y1 = (generator.randint(low + 1, spec.box_limit) for low in (x0, y0))
    return Box(image=generator.randrange(num_images), box=(x0, y0, x1, y1))


def _damaged(generator: random.Random, answer: str) -> str:
    """Return the answer with a piece removed, doubled, inserted, cut off or exchanged."""
    start = generator.randint(0, len(answer))
    end = min(len(answer), start + generator.choice([1, 1, 2, 5, 20]))
    piece = generator.choice(_PIECES)
    return generator.choice(
        (
            answer[:start] + answer[end:],
            answer[:end] + answer[start:],
            answer[:start] + piece + answer[start:],
            answer[:start] + piece + answer[end:],
            answer[:start],
            answer + "\n" + answer,
            answer.replace(": ", piece, 1),
            answer.swapcase(),
        )
    )
