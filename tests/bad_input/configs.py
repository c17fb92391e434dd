"""Configs, templates, and data that do not fit them."""

from __future__ import annotations

from bad_input import ANN, Kind, config, post
from bad_input.pictures import PNG


def _config(
    name: str, remedy: str, *, place: str = r"config\.yaml: \d setting\(s\) to mend", **changes: object
) -> Kind:
    """A config with other settings."""
    files = {"config.yaml": config(**changes), "posts.jsonl": post()}
    return Kind(name, "finetune config.yaml", files, place, remedy)


def _set(name: str, value: str, place: str, remedy: str) -> Kind:
    files = {"config.yaml": config(), "posts.jsonl": post()}
    return Kind(name, f"finetune config.yaml --set {value}", files, place, remedy)


def _text(name: str, text: str | bytes, remedy: str) -> Kind:
    return Kind(name, "finetune config.yaml", {"config.yaml": text}, r"config\.yaml", remedy)


def _template(name: str, source: str | bytes, place: str, remedy: str) -> Kind:
    files = {"config.yaml": config(prompt="my.jinja"), "posts.jsonl": post(), "my.jinja": source}
    return Kind(name, "finetune config.yaml", files, place, remedy)


def _fit(name: str, rows: str, place: str, remedy: str, **changes: object) -> Kind:
    return Kind(name, "finetune config.yaml", {"config.yaml": config(**changes), "posts.jsonl": rows}, place, remedy)


INSTRUCTION = "{% block instruction %}Find them.{% endblock %}\n"
POST = "{% block post %}{{ text }}{% endblock %}\n"
TWO = [ANN, {"start": 7, "end": 11, "text": "Rome", "label": "LOC"}]

FIVE = {
    "modle": "x",
    "data": {"train": "posts.jsonl", "decode": "loose"},
    "optimizer": {"epoch": 2, "batch_size": 0},
    "seed": "many",
}

FILES = (
    Kind("config-missing", "finetune nowhere.yaml", {}, r"nowhere\.yaml: no such file", "init DIR' writes a config"),
    _text("config-no-yaml", "a: [1\nb: 2\n", "yaml:2: not YAML: expected .*; mend the line"),
    _text("config-list", "- a\n- b\n", "a config is a mapping of settings, this is a? ?list; .*init DIR"),
    _text("config-empty", "", "a config is a mapping of settings, .*empty; .*init DIR"),
    _text("config-latin-1", "model: Zürich\n".encode("latin-1"), "not UTF-8; save the file as UTF-8"),
    _text("config-binary", bytes(range(256)), "no text .*; save it as UTF-8"),
    _text("config-python-object", "model: !!python/object/apply:os.getcwd []\n", "not YAML: .*constructor"),
    _text("config-key-twice", config() + "seed: 1\nseed: 2\n", "yaml:12: not YAML: 'seed' is given twice"),
    _text("config-nested-too-deep", "[" * 5000, "not YAML: nested too deep"),
    Kind("config-folder", "finetune .", {}, r"^\. is a folder, and no config", "init DIR' writes a config"),
    Kind("config-run-folder", "finetune run", {"run/config.yaml": config()}, "^run is a folder", r"run/config\.yaml"),
    Kind(
        "config-posts",
        "finetune posts.jsonl",
        {"posts.jsonl": post()},
        r"^posts\.jsonl holds posts",
        r"finetune --data posts\.jsonl --model MODEL",
    ),
)

SETTINGS = (
    _config("config-unknown-key", "modle: unknown setting; did you mean 'model'", modle="x"),
    _config("config-unknown-data-key", r"data\.trian: .*did you mean 'train'",
            place=r"data\.train: is needed", data={"trian": "x"}),
    _config("config-unknown-answer-key", r"answer\.ground: .*did you mean 'grounded'", answer={"ground": True}),
    _config("config-unknown-lora-key", r"lora\.alfa: .*did you mean 'alpha'.; known: rank, alpha", lora={"alfa": 3}),
    _config("config-unknown-optimizer-key", r"optimizer\.lr: unknown setting; known: epochs", optimizer={"lr": 1}),
    _config("config-unknown-evaluation-key", r"evaluation\.post: .*did you mean 'posts'", evaluation={"post": 1}),
    _config("config-unknown-pixels-key", r"pixels\.max: .*did you mean|known: min_pixels", pixels={"max": 1}),
    _config("config-unknown-augmentation-key", "did you mean 'jitter_boxes'", augmentation={"jitter_box": 0.1}),
    _config("config-wrong-type", r"optimizer\.epochs: .*number.*\(it is 'three'\)", optimizer={"epochs": "three"}),
    _config("config-section-is-a-text", r"data: .*a section.*train.*\(it is 'posts\.jsonl'\)", data="posts.jsonl"),
    _config("config-out-of-range", r"optimizer\.epochs: .*greater than 0 \(it is -1\)", optimizer={"epochs": -1}),
    _config("config-not-finite", r"optimizer\.learning_rate: .*finite", optimizer={"learning_rate": float("nan")}),
    _config("config-infinite", r"optimizer\.learning_rate: .*finite", optimizer={"learning_rate": float("inf")}),
    _config("config-number-for-text", r"model: .*put it into quotes \(it is 7\)", model=7),
    _config("config-fraction-of-a-post", r"batch_size: .*whole number.*\(it is 1\.5\)", optimizer={"batch_size": 1.5}),
    _config("config-missing-model", "model: is needed", model=...),
    _config("config-missing-output", "output: is needed", output=...),
    _config("config-lora-rank", r"lora\.rank: .*8, 16, 32.*\(it is 7\)", lora={"rank": 7}),
    _config("config-unknown-tuning", "tuning: .*'lora', 'qlora' or 'full'.*did you mean 'lora'", tuning="loar"),
    _config("config-negative-pictures", "max_images: .*greater than or equal to 0", max_images=-1),
    _config("config-boxes-without-pictures", "max_images: 0 shows none", answer={"grounded": True}, max_images=0),
    _config("config-objectives-without-pictures", r"need\(s\) pictures.*image_source: none shows no pictures",
            data={"train": "posts.jsonl", "image_source": "none"}, alignment={"generative": {}}),
    _config("config-pixels", r"pixels: .*min_pixels .*more than", pixels={"min_pixels": 9, "max_pixels": 3}),
    _config("labels-empty", "labels: .*at least 1", labels=[]),
    _config("labels-twice", r"labels: label\(s\) given twice: PER", labels=["PER", "PER"]),
    _config("labels-with-separator", "labels.*'a: b' holds ': ', which separates", labels=["a: b"]),
    _config("labels-with-newline", "labels.*holds a newline", labels=["a\nb"]),
    _config("labels-with-edge-space", "labels.*has a space at its edge", labels=[" PER"]),
    _config("labels-of-numbers", "labels.*1.*", labels=[1, 2]),
    _config("labels-that-yaml-takes-for-no", r"labels.*put it into quotes \(it is False\)", labels=[False, "PER"]),
    _config("labels-defined-by-a-number", r"labels.*put it into quotes \(it is 3\)", labels={"PER": 3}),
    _config("labels-a-text", "labels: .*list.*NAME: definition", labels="PER"),
    _config("five-problems-at-once",
            "(?=.*modle: .*'model')(?=.*data.decode)(?=.*optimizer.epoch: .*'epochs')(?=.*batch_size)(?=.*seed:)",
            place=r"config\.yaml: 5 setting\(s\)", **FIVE),
)  # fmt: skip

OVERRIDES = (
    _set("set-without-value", "seed", "--set seed: ", "write key=value, for example --set optimizer.epochs=5"),
    _set("set-without-key", "=3", "--set =3: ", "write key=value"),
    _set("set-no-yaml", "'seed=[1'", r"--set seed=\[1: ", "the value is not YAML"),
    _set("set-into-a-value", "model.name=x", "--set model.name=x: ", "'model' is not a section"),
    _set("set-unknown-key", "optimizer.epoch=3", r"optimizer\.epoch: ", "did you mean 'epochs'"),
    _set("set-in-an-unknown-section", "optimiser.epochs=3", "optimiser: unknown setting", "did you mean 'optimizer'"),
)

TEMPLATES = (
    _config("template-unknown", r"did you mean 'tag'\?; known: few-shot", place="no prompt template 'tga'",
            prompt="tga"),
    _config("template-unknown-version", r"did you mean 'tag\.v1'", place=r"no prompt template 'tag\.v9'",
            prompt="tag.v9"),
    _config("template-file-missing", "check the path", place=r"prompt template no\.jinja: no such file",
            prompt="no.jinja"),
    _template("template-syntax", INSTRUCTION + "{% block post %}{% if %}{% endblock %}", "prompt template my, line 2: ",
              r"prompts/README\.md"),
    _template("template-undefined-variable", INSTRUCTION + "{% block post %}{{ tekst }}{% endblock %}",
              "prompt template my.*'tekst' is undefined", r"prompts/README\.md lists the variables"),
    _template("template-without-block", POST, "prompt template my has no block 'instruction'", "needs the blocks"),
    _template("template-not-utf-8", "{# Zürich #}".encode("latin-1"), r"my\.jinja:1: byte 0xfc",
              "save the file as UTF-8"),
    _template("template-unsafe", INSTRUCTION + "{% block post %}{{ text.__class__.mro() }}{% endblock %}",
              "prompt template my", r"unsafe.*prompts/README\.md"),
)  # fmt: skip

FITS = (
    _config("data-missing", "check the path", place=r"nowhere\.jsonl: there is no such file",
            data={"train": "nowhere.jsonl"}),
    _fit("labels-do-not-cover", post(), r"posts\.jsonl: .*post '1' has label\(s\) outside the label set: PER",
         "add them to labels", labels=["LOC"]),
    _fit("label-is-a-special-token", post(), "label '<image>' holds '<image>'", "a special token of this model; rename",
         labels=["PER", "<image>"]),
    _fit("definition-with-a-special-token", post(), "definition of label 'PER' holds '<image>'",
         "write it in other words", labels={"PER": "as in <image>"}),
    _fit("posts-not-annotated", '{"id": "1", "text": "a"}\n', r"posts\.jsonl: .*post '1' is not annotated",
         "it has no 'entities'"),
    _fit("more-entities-than-the-most", post(entities=TWO), r"posts\.jsonl: .*post '1' has 2 entities",
         "raise answer.max_entities, which is 1", answer={"max_entities": 1}),
    Kind("grounded-without-boxes", "finetune config.yaml",
         {"config.yaml": config(answer={"grounded": True}), "posts.jsonl": post(images=["a.png"]), "a.png": PNG},
         r"posts\.jsonl: .*post '1' has entities without 'boxes'", "annotate them.*answer.grounded: false"),
    _fit("no-entity-at-all", post(entities=[]), r"posts\.jsonl: no post has an entity", "check its 'entities'",
         labels=...),
    _fit("other-names-of-no-label", post(), r"augmentation\.label_names: 'PRE' is not", "did you mean 'PER'",
         augmentation={"label_names": {"PRE": ["person"]}}),
    _fit("renaming-without-names", post(), r"augmentation\.rename_labels: there are no",
         r"augmentation\.label_names to rename to", augmentation={"rename_labels": 0.5}),
    _fit("pixels-of-the-family", post(), "pixels.min_pixels", "leave pixels.min_pixels out",
         pixels={"min_pixels": 9}),
    _fit("leaks-refused", post(), "1 of 1 posts stand in", "--leaks drop .* leaves them out; --leaks allow",
         data={"train": "posts.jsonl", "evaluate_on": ["posts.jsonl"]}),
    _fit("nothing-left-of-leaks", post(), r"posts\.jsonl: no post is left when", "train on other data",
         data={"train": "posts.jsonl", "evaluate_on": ["posts.jsonl"], "leaks": "drop"}),
)  # fmt: skip

KINDS = (*FILES, *SETTINGS, *OVERRIDES, *TEMPLATES, *FITS)
