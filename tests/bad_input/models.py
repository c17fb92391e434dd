"""Models, adapters, endpoints, and outputs that are there already."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from bad_input import Kind, config, post

POST = post()
"""What the finished run was trained on."""

CONFIG = config()
"""Its config."""

_TAG = "tag posts.jsonl -o out.jsonl"
_POSTS = {"posts.jsonl": POST}
Change = Callable[[Path], object]


def _model(name: str, flags: str, place: str, remedy: str, files: dict[str, str | bytes] | None = None) -> Kind:
    return Kind(name, f"{_TAG} {flags}", {**_POSTS, **(files or {})}, place, remedy)


def _adapter(name: str, change: Change, place: str, remedy: str, flags: str = "") -> Kind:
    """A copy of the finished run's adapter with something wrong in it."""
    return Kind(name, f"{_TAG} --adapter adapter {flags}", _POSTS, place, remedy, change=change,
                copies={"adapter": "adapter"})  # fmt: skip


def _without(name: str) -> Change:
    return lambda folder: (folder / name).unlink()


def _with(name: str, content: str | bytes) -> Change:
    return lambda folder: (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def _manifest(**changes: object) -> Change:
    """Other values in ``mner.json``."""

    def change(folder: Path) -> None:
        path = folder / "adapter" / "mner.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


def _weights(rename: Callable[[str], str | None]) -> Change:
    """Other names of the weights; ``None`` drops one."""

    def change(folder: Path) -> None:
        from safetensors.torch import load_file, save_file

        path = folder / "adapter" / "adapter_model.safetensors"
        renamed = {rename(name): weight for name, weight in load_file(path).items()}
        save_file({name: weight for name, weight in renamed.items() if name is not None}, path)

    return change


def _pickled(folder: Path) -> None:
    import torch

    (folder / "base" / "model.safetensors").unlink()
    torch.save({}, folder / "base" / "pytorch_model.bin")


def _config_json(**changes: object) -> Change:
    def change(folder: Path) -> None:
        path = folder / "base" / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


def _base(name: str, change: Change, place: str, remedy: str) -> Kind:
    """A copy of a tiny model with something wrong in it."""
    return Kind(name, f"{_TAG} --model base --labels PER", _POSTS, place, remedy, change=change,
                copies={"base": "$IDEFICS3"})  # fmt: skip


def _reshaped(folder: Path) -> None:
    path = folder / "base" / "config.json"
    values = json.loads(path.read_text())
    values["text_config"]["intermediate_size"] *= 2
    path.write_text(json.dumps(values))


BASES = (
    _model("model-folder-missing", "--model ./nowhere --labels PER", r"model \./nowhere cannot be loaded",
           "a hub name or a folder with config.json"),
    _model("model-folder-empty", "--model empty --labels PER", "model empty cannot be loaded",
           "a hub name or a folder with config.json", {"empty/readme.md": ""}),
    _model("model-unknown-type", "--model bert --labels PER", "models of type 'bert' are not supported",
           "supported types: idefics3", {"bert/config.json": '{"model_type": "bert"}'}),
    _model("model-type-of-the-future", "--model new --labels PER", "model new cannot be loaded",
           "supported types|folder", {"new/config.json": '{"model_type": "vl9000"}'}),
    _base("model-config-broken", _with("base/config.json", "{"), "model base cannot be loaded", "config.json"),
    _base("model-pickled", _pickled, "model base cannot be loaded", "safetensors"),
    _base("model-weights-cut", _with("base/model.safetensors", b"\x08\0\0\0\0\0\0\0{}"), "model base cannot be loaded",
          r"\*\.safetensors"),
    _base("model-without-processor", _without("base/tokenizer.json"), "model base cannot be loaded",
          "processor's files"),
    _base("model-of-another-shape", _reshaped, "model base cannot be loaded", "shape|size"),
)  # fmt: skip

ADAPTERS = (
    _model("adapter-missing", "--adapter nowhere", "--adapter nowhere", "there is no such folder; name the run folder"),
    _model("adapter-folder-of-none", "--adapter empty", "--adapter empty: holds no adapter", "a base: --model",
           {"empty/a": ""}),
    _adapter("adapter-without-weights", _without("adapter/adapter_model.safetensors"), "adapter is not an adapter",
             "needs adapter_config.json and adapter_model.safetensors"),
    _adapter("adapter-weights-cut", _with("adapter/adapter_model.safetensors", b"no"), "adapter adapter",
             "cannot be read .*put back"),
    _adapter("adapter-config-broken", _with("adapter/adapter_config.json", "{"), "adapter adapter",
             "adapter_config.json"),
    _adapter("adapter-of-another-family", lambda folder: None,
             "is of the family qwen3_vl, the adapter was tuned on .*idefics3", "give its own base",
             "--model $QWEN3_VL"),
    _adapter("adapter-with-foreign-keys", _weights(lambda name: name.replace("layers.0", "blocks.0")),
             "adapter adapter does not fit the base model", "finds no module: .*blocks.0"),
    _adapter("adapter-with-missing-keys", _weights(lambda name: None if "layers.0" in name else name),
             "adapter adapter does not fit the base model", "not in the adapter: .*layers.0"),
    _adapter("manifest-missing", _without("adapter/mner.json"), "adapter has no mner.json",
             "not made by 'instruct-mner finetune'"),
    _adapter("manifest-broken", _with("adapter/mner.json", "{"), r"adapter/mner\.json", "put back the file"),
    _adapter("manifest-not-utf-8", _with("adapter/mner.json", b"\xff\xfe"), r"adapter/mner\.json", "save .* as UTF-8"),
    _adapter("manifest-unknown-field", _manifest(tunning="lora"), r"adapter/mner\.json", "did you mean 'tuning'"),
    _adapter("manifest-of-a-later-version", _manifest(format_version=2), r"adapter/mner\.json", "format_version: .*1"),
    _adapter("manifest-base-moved", _manifest(base_model="./moved"), r"model \./moved cannot be loaded",
             "a hub name or a folder"),
    _adapter("prompt-changed", _with("adapter/prompt.jinja", "other"), r"adapter/prompt\.jinja was changed",
             "put the original template back"),
    _adapter("prompt-missing", _without("adapter/prompt.jinja"), r"adapter has no prompt\.jinja", "put it back"),
    _adapter("examples-for-a-tuned-model", lambda folder: None, "adapter was tuned on posts without examples",
             "leave --examples out", "--examples posts.jsonl --num-examples 1"),
)  # fmt: skip

FLAGS = (
    _model("tag-without-a-model", "", "give --model", "hub name or folder"),
    _model("tag-base-without-labels", "--model $IDEFICS3", "this model was not tuned",
           "give labels .*--labels PER,LOC"),
    _model("tag-input-and-text", "--text Ann --model $IDEFICS3", "either INPUT or --text", "for example"),
    _model("tag-input-and-image", "--image a.png --model $IDEFICS3", "--image is the picture of --text", "--images"),
    Kind("tag-nothing", "tag --model $IDEFICS3", {}, "either INPUT or --text", "for example"),
    Kind("tag-input-missing", "tag nowhere.jsonl -o out.jsonl --model x --labels PER", {},
         r"nowhere\.jsonl: there is no such file", "check the path"),
    _model("tag-labels-twice", "--model x --labels PER,PER", "--labels PER,PER", r"label\(s\) given twice: PER"),
    _model("tag-labels-empty", "--model x --labels PER,,LOC", "--labels PER,,LOC", "label '' is empty"),
    _model("tag-labels-file-missing", "--model x --labels l.yaml", r"--labels l\.yaml: there is no such file", "check"),
    _model("tag-labels-no-yaml", "--model x --labels l.yaml", r"--labels l\.yaml:1: not YAML", "mend the line",
           {"l.yaml": "[a"}),
    _model("tag-labels-a-number", "--model x --labels l.yaml", r"--labels l\.yaml: ", "a list of names, or a mapping",
           {"l.yaml": "7"}),
    _model("tag-label-special-token", "--model $IDEFICS3 --labels '<image>'", "label '<image>'", "rename it"),
    _model("tag-images-missing", "--model x --labels PER --images nowhere", "--images nowhere", "check the path"),
    _model("tag-labels-not-utf-8", "--model x --labels l.yaml", r"--labels l\.yaml", "save .* as UTF-8",
           {"l.yaml": b"- Z\xfcrich\n"}),
    _model("tag-batch-size", "--model x --labels PER --batch-size 0", "--batch-size", ">?= ?1|equal to 1"),
    _model("endpoint-no-address", "--endpoint localhost:8000 --model m --labels PER", "--endpoint localhost:8000",
           "write an address such as http://localhost:8000/v1"),
    _model("endpoint-bad-port", "--endpoint http://localhost:port --model m --labels PER",
           "--endpoint http://localhost:port", "write an address such as"),
    _model("endpoint-without-model", "--endpoint http://localhost:1 --labels PER", "--endpoint needs --model",
           "the name under which"),
    _model("endpoint-without-labels", "--endpoint http://localhost:1 --model m", "was not tuned", "give labels"),
    Kind("endpoint-nobody-there", f"{_TAG} --endpoint http://localhost:1 --model m --labels PER", _POSTS,
         "http://localhost:1/v1 cannot be reached", "start the server, or check --endpoint"),
    _model("endpoint-unknown-constraint", "--endpoint http://localhost:1 --model m --constraint regex", "--constraint",
           "is not one of 'grammar'"),
    _model("examples-not-annotated", "--model x --labels PER --examples e.jsonl --num-examples 1",
           r"--examples e\.jsonl", "1 annotated posts are needed, it has 0", {"e.jsonl": '{"id": "1", "text": "a"}\n'}),
    _model("examples-of-other-labels", "--model $IDEFICS3 --labels LOC --examples posts.jsonl --num-examples 1",
           "examples have label.* outside the label set: PER", "add them to --labels"),
)  # fmt: skip

SETTINGS = json.dumps({"settings": "other"}) + "\n"

OUTPUTS = (
    _model("tag-out-exists", "--model $IDEFICS3 --labels PER", r"out\.jsonl exists", "choose another name or remove it",
           {"out.jsonl": "mine"}),
    _model("tag-partial-of-other-settings", "--model $IDEFICS3 --labels PER",
           r"out\.jsonl\.partial is of a run with another model", "remove it, or repeat",
           {"out.jsonl.partial": SETTINGS}),
    Kind("tag-out-is-a-folder", f"{_TAG} --model $IDEFICS3 --labels PER", _POSTS, r"out\.jsonl", "is a folder",
         change=lambda folder: (folder / "out.jsonl").mkdir()),
    Kind("tag-out-under-a-file", "tag posts.jsonl -o posts.jsonl/out --model $IDEFICS3 --labels PER", _POSTS,
         r"posts\.jsonl/out", "cannot be written.*choose another place"),
    Kind("finetune-out-exists", "finetune config.yaml", {**_POSTS, "config.yaml": CONFIG, "run/mine": ""},
         "output: run exists and is not empty", "--set output=.*--resume"),
    Kind("finetune-out-is-a-file", "finetune config.yaml", {**_POSTS, "config.yaml": CONFIG, "run": "mine"},
         "output: run is a file", "choose another"),
    Kind("finetune-out-under-a-file", "finetune config.yaml --set output=config.yaml/run",
         {**_POSTS, "config.yaml": CONFIG}, r"config\.yaml/run: cannot be written, .*is a file",
         "choose another place"),
    Kind("merge-out-under-a-file", "merge adapter mine/whole", {"mine": ""}, "mine/whole: cannot be written",
         "choose another place", copies={"adapter": "adapter"}),
    Kind("resume-of-no-run", "finetune config.yaml --resume", {**_POSTS, "config.yaml": CONFIG, "run/mine": ""},
         "--resume: run has no config.yaml", "remove it|choose another"),
    Kind("resume-of-other-settings", "finetune config.yaml --resume --set seed=7", {**_POSTS, "config.yaml": CONFIG},
         r"--resume: the settings are not those of run/config\.yaml", r"-seed: 0.*\+seed: 7",
         copies={"run": "run"}, change=_without("run/README.md")),
    Kind("init-not-empty", "init there", {"there/mine": ""}, "there is not empty", "name a new or empty folder"),
    Kind("init-file", "init there", {"there": ""}, "there is a file", "name a new or empty folder"),
    Kind("init-under-a-file", "init there/project", {"there": ""}, "there/project", "cannot be written"),
    Kind("demo-elsewhere", "demo --output there", {"there/mine": ""}, "--output there holds something",
         "choose another folder"),
    Kind("merge-out-exists", "merge adapter whole", {"whole/mine": ""}, "whole exists", "choose another folder",
         copies={"adapter": "adapter"}),
    Kind("merge-of-no-adapter", "merge nowhere whole", {}, "nowhere has no mner.json",
         "made by 'instruct-mner finetune'"),
    Kind("merge-of-a-whole-model", "merge adapter whole", {}, "adapter is a whole model already", "nothing to merge",
         copies={"adapter": "adapter"}, change=_manifest(tuning="full")),
    Kind("unknown-verb", "finetun config.yaml", {}, "finetun", "No such command"),
)  # fmt: skip

KINDS = (*BASES, *ADAPTERS, *FLAGS, *OUTPUTS)
