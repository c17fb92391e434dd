"""The model card of a run."""

from __future__ import annotations

from collections.abc import Sequence

from instruct_mner.manifest import Manifest
from instruct_mner.training.config import FinetuneConfig


def model_card(manifest: Manifest, config: FinetuneConfig, metrics: Sequence[dict[str, float]]) -> str:
    """What was trained, on what, how well it did on dev, and how to use it."""
    kind = "fully tuned model" if manifest.tuning == "full" else "LoRA adapter"
    flag = "--model" if manifest.tuning == "full" else "--adapter"
    scored = [line for line in metrics if "eval_f1" in line]
    best = max(scored, key=lambda line: line["eval_f1"], default=None)
    lines = [
        f"# {config.output.name}",
        "",
        f"A {kind} for multimodal named entity recognition on `{manifest.base_model}`"
        + (f" at revision `{manifest.base_revision}`." if manifest.base_revision else "."),
        "",
        f"Labels: {', '.join(manifest.answer.labels.names)}. Prompt `{manifest.prompt.name}` "
        f"({manifest.prompt.sha256[:12]}). Seed {manifest.seed}.",
        "",
        *_leaks(manifest),
        "| data | set | published as | posts | sha256 |",
        "|---|---|---|---|---|",
        *(
            f"| {each.role} | {each.name} | {each.known or '-'} | {each.num_posts} | `{each.sha256}` |"
            for each in manifest.datasets
        ),
        "",
    ]
    if best is None:
        lines += ["There was no dev set: no score is known, and the last checkpoint was kept.", ""]
    else:
        lines += [
            f"F1 on the first {config.evaluation.posts} posts of dev, which chose the checkpoint and so flatters it: "
            f"{100 * best['eval_f1']:.2f} (span only {100 * best['eval_span_f1']:.2f}) at step {best['step']:.0f}.",
            "",
        ]
    lines += [
        "Versions: " + ", ".join(f"{name} {version}" for name, version in manifest.versions.items()) + ".",
        "",
        "```",
        f"instruct-mner tag posts.jsonl {flag} {config.output} -o predictions.jsonl",
        "```",
        "",
    ]
    return "\n".join(lines)


def _leaks(manifest: Manifest) -> list[str]:
    if manifest.leaked:
        lines = [f"- {leak}" for leak in manifest.leaked]
        return ["**LEAKED**: it was trained on, or chosen by, posts of an evaluation set.", "", *lines, ""]
    num_dropped = sum(each.num_dropped for each in manifest.datasets)
    if any(each.role == "evaluation" for each in manifest.datasets):
        return [f"No post of the evaluation sets below was trained on; {num_dropped} were left out for it.", ""]
    return ["No evaluation set was declared, so leaks into the training data were not looked for.", ""]
