"""Tokens that a post costs in each form of prompt and answer: ``python -m eval.benchmarks.tokens_per_post DATA``.

Of the prompt with its chat template, and of the gold answer with the token that ends it, by SmolLM2's tokenizer; means
over the posts of a test set, without captions.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from statistics import mean

from transformers import AutoTokenizer

from eval.benchmarks.report_file import print_report
from instruct_mner.answers.codec import render
from instruct_mner.answers.spec import AnswerSpec, FormatName
from instruct_mner.data.loading import load_split
from instruct_mner.models.locations import SMOLLM2, locate
from instruct_mner.prompting.conversation import user_messages
from instruct_mner.prompting.templates import find_prompt, shown_text
from instruct_mner.schema.labels import LabelSet

FORMS: Mapping[str, tuple[str, FormatName]] = {
    "Lines": ("tag", "lines"),
    "Lines, post twice": ("tag-twice", "lines"),
    "Inline": ("tag-inline", "inline"),
    "Json": ("tag", "json"),
}


def tokens(data: str) -> dict[str, dict[str, float]]:
    """Return the mean numbers of tokens of prompt and answer by form."""
    tokenizer = AutoTokenizer.from_pretrained(locate(SMOLLM2))
    posts = load_split(data, missing_image="text").examples
    labels = LabelSet.of(sorted({entity.label for post in posts for entity in post.gold}))
    found = {}
    for name, (prompt, form) in FORMS.items():
        spec = AnswerSpec(labels=labels, format=form)
        asked, answered = [], []
        for post in posts:
            text = shown_text(post.text)
            messages = [
                {"role": each["role"], "content": "".join(part["text"] for part in each["content"])}
                for each in user_messages(find_prompt(prompt), spec, text, 0)
            ]
            asked.append(
                len(tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"])
            )
            answered.append(len(tokenizer(render(spec, text, post.gold)).input_ids) + 1)  # and the end of the turn
        found[name] = {"prompt": round(mean(asked), 1), "answer": round(mean(answered), 1)}
    return found


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", help="test sets, as `instruct-mner tag` reads them")
    parser.add_argument("--output", type=Path, help="file for the numbers")
    given = parser.parse_args()
    print_report({Path(data.partition(":")[2] or data).parent.name: tokens(data) for data in given.data}, given.output)


if __name__ == "__main__":
    main()
