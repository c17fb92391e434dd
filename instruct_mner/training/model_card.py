"""Model card of a run."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote

from instruct_mner.models.locations import SMOLLM2, SMOLLM2_ON_HUB, STARTER_135M
from instruct_mner.models.manifest import Manifest
from instruct_mner.training.config import FinetuneConfig

# Controls that belong beside a score.
_BESIDE = (
    "A score on a test set says little without these beside it: at least three seeds, mean ± standard deviation; the "
    "same recipe without pictures (`max_images: 0`); shuffled pictures (`tag --image-source shuffled`); for boxes, the "
    'baseline of "not visible" everywhere, which `evaluate` prints; what was rejected; and `evaluate --run`, which '
    "stamps what was trained on. `instruct-mner experiment` makes the whole table."
)


def model_card(manifest: Manifest, config: FinetuneConfig, metrics: Sequence[dict[str, float]]) -> str:
    """Return the model card: base, labels, data, dev scores and use.

    Args:
        manifest: Manifest of the run.
        config: Config of the run.
        metrics: Lines of ``metrics.jsonl``.
    """
    kind, flag = ("fully tuned model", "--model") if manifest.tuning == "full" else ("LoRA adapter", "--adapter")
    lines = [
        f"# {config.output.name}",
        "",
        f"A {kind} for multimodal named entity recognition on `{manifest.base_model}`"
        + (f" at revision `{manifest.base_revision}`." if manifest.base_revision else "."),
        "",
        f"Labels: {', '.join(manifest.answer.labels.names)}. Prompt `{manifest.prompt.name}` "
        f"({manifest.prompt.sha256[:12]}). Seed {manifest.seed}.",
        "",
        *_licence(manifest),
        *_alignment(config),
        *_reinforcement(manifest, config),
        *_leaks(manifest),
        "| data | set | published as | posts | sha256 |",
        "|---|---|---|---|---|",
        *(
            f"| {each.role}{', earlier' if number else ''} | {each.name} | {each.known or '-'} | {each.num_posts} "
            f"| `{each.sha256}` |"
            for number, training in enumerate(manifest.trainings)
            for each in training
        ),
        "",
        *_dev_scores(manifest, metrics),
        _BESIDE,
        "",
        "Versions: " + ", ".join(f"{name} {version}" for name, version in manifest.versions.items()) + ".",
        "",
        "```",
        f"instruct-mner tag posts.jsonl {flag} {quote(str(config.output))} -o predictions.jsonl",
        "```",
        "",
    ]
    return "\n".join(lines)


def _licence(manifest: Manifest) -> list[str]:
    if manifest.base_model not in (SMOLLM2, STARTER_135M):
        return []
    begins = "The base is" if manifest.base_model == SMOLLM2 else "The decoder of the base is that of"
    return [f"{begins} [SmolLM2-135M-Instruct](https://huggingface.co/{SMOLLM2_ON_HUB}), licence Apache-2.0.", ""]


def _alignment(config: FinetuneConfig) -> list[str]:
    names = ", ".join(f"`{name}`" for name, settings in config.alignment.each() if settings.has_effect)
    pictures = {"own": "", "none": " It was shown no pictures.", "shuffled": " It was shown pictures of other posts."}
    trained = (
        f"Trained with {names} beside the answer; nothing of it is in these weights but its effect." if names else ""
    )
    text = (trained + pictures[config.data.image_source]).strip()
    return [text, ""] if text else []


def _reinforcement(manifest: Manifest, config: FinetuneConfig) -> list[str]:
    if manifest.reinforced_from is None:
        return []
    settings = config.reinforcement
    weights = ", ".join(f"{name} {weight:g}" for name, weight in settings.rewards.model_dump().items())
    return [
        f"Reinforced by GRPO from an adapter of sha256 `{manifest.reinforced_from}`: {settings.num_answers} answers to "
        f"each of {settings.posts_per_step} posts a step, weights of the rewards {weights}. Its confidences are to be "
        "calibrated again.",
        "",
    ]


def _dev_scores(manifest: Manifest, metrics: Sequence[dict[str, float]]) -> list[str]:
    scored = [line for line in metrics if "eval_f1" in line]
    if not scored:
        return ["There was no dev set: no score is known, and the last checkpoint was kept.", ""]
    # Grounded runs are chosen by the triple; ties go to the earlier checkpoint, as they do in training.
    best = max(scored, key=lambda line: line.get("eval_gmner_f1", line["eval_f1"]))
    [num_dev] = [each.num_posts for each in manifest.datasets if each.role == "dev"]
    return [
        f"F1 on {num_dev} posts of dev, which chose the checkpoint and so flatters it: {100 * best['eval_f1']:.2f} "
        f"(span only {100 * best['eval_span_f1']:.2f}) at step {best['step']:.0f}."
        + (f" GMNER triples {100 * best['eval_gmner_f1']:.2f}." if "eval_gmner_f1" in best else ""),
        "",
    ]


def _leaks(manifest: Manifest) -> list[str]:
    if manifest.leaked:
        lines = [f"- {leak}" for leak in manifest.leaked]
        return ["**LEAKED**: it was trained on, or chosen by, posts of an evaluation set.", "", *lines, ""]
    num_dropped = sum(each.num_dropped for each in manifest.datasets)
    if any(each.role == "evaluation" for each in manifest.datasets):
        text = f"No post of the evaluation sets below was trained on; {num_dropped} were left out for it."
        if manifest.earlier:
            text += " The training data of earlier trainings were compared only with the sets that these name."
        return [text, ""]
    return ["No evaluation set was declared, so leaks into the training data were not looked for.", ""]
