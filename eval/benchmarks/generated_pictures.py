"""Agreement of posts that are answered from a generated picture, by ``serve`` and by transformers in this process.

    instruct-mner synth POSTS --num 400
    instruct-mner finetune run.yaml     # model: starter, data.train: POSTS/train.jsonl, alignment: {generative: {}}
    instruct-mner serve RUN --missing-image generate --dtype float32
    python -m eval.benchmarks.generated_pictures RUN POSTS/test.jsonl --url http://127.0.0.1:8000

Both sides get the texts alone, and run in float32. The exit code is 1 where a post has other entities, or where none
has, or where features that a client sends are not refused.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import httpx

from eval.benchmarks.report_file import print_report
from instruct_mner.data.loading import load_split
from instruct_mner.schema.records import PredictedEntity
from instruct_mner.tagging.tagger import Tagger

_POSTS_AT_ONCE = 20


def served(url: str, texts: list[str]) -> list[list[PredictedEntity]]:
    """Return the entities that a server finds in texts."""
    found = []
    with httpx.Client(base_url=url, timeout=600) as client:
        for begin in range(0, len(texts), _POSTS_AT_ONCE):
            posts = [{"text": text} for text in texts[begin : begin + _POSTS_AT_ONCE]]
            answer = client.post("/v1/entities", json={"posts": posts}).raise_for_status().json()
            found += [[PredictedEntity.model_validate(each) for each in post["entities"]] for post in answer["posts"]]
    return found


def refusal(url: str) -> int:
    """Return the status with which features of a client are answered."""
    part = {"type": "image_embeds", "image_embeds": "AAAA"}
    body = {"messages": [{"role": "user", "content": [part, {"type": "text", "text": "Ann"}]}]}
    models = httpx.get(f"{url}/v1/models", timeout=60).raise_for_status().json()["data"]
    return httpx.post(f"{url}/v1/chat/completions", json={"model": models[0]["id"], **body}, timeout=60).status_code


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run with alignment.generative")
    parser.add_argument("posts", help="DATA")
    parser.add_argument("--url", required=True, help="address of the server")
    parser.add_argument("--num", type=int, default=200, help="number of posts; default 200")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    dataset = load_split(given.posts, missing_image="text")
    examples = [example.without_images() for example in dataset.examples[: given.num]]
    status = refusal(given.url)
    tagger = Tagger.from_pretrained(given.run, dtype="float32", generated=True)
    here = [each.entities for each in tagger.predict(examples, lambda example: ())]
    there = served(given.url, [example.text for example in examples])
    bare = Tagger.from_pretrained(given.run, dtype="float32")
    without = [each.entities for each in bare.predict(examples, lambda example: ())]

    def keys(entities: object) -> list[tuple[int, int, str]]:
        return [(each.start, each.end, each.label) for each in entities]  # type: ignore[attr-defined]

    differ = [post.id for post, a, b in zip(examples, here, there, strict=True) if keys(a) != keys(b)]
    scores = [
        abs(a.score - b.score)
        for mine, theirs in zip(here, there, strict=True)
        if keys(mine) == keys(theirs)
        for a, b in zip(mine, theirs, strict=True)
    ]
    report = {
        "posts": len(examples),
        "entities": sum(map(len, here)),
        "posts with other entities": differ,
        "largest difference of a score": round(max(scores, default=0.0), 4),
        "posts whose entities are others without any picture": sum(
            keys(a) != keys(b) for a, b in zip(here, without, strict=True)
        ),
        "status of features that a client sends": status,
    }
    print_report(report, given.output)
    return int(bool(differ) or not scores or status != 422)


if __name__ == "__main__":
    sys.exit(main())
