from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from rich.console import Console

from instruct_mner.training.progress import RunProgress


def test_step_loss_and_time_left_are_shown_and_what_stays_is_printed(tmp_path: Path) -> None:
    written = io.StringIO()
    seconds = [0.0]
    progress = RunProgress(tmp_path / "metrics.jsonl", Console(file=written, width=200), clock=lambda: seconds[0])
    state: Any = SimpleNamespace(global_step=4, max_steps=12)
    unused: Any = cast("Any", None)
    progress.on_train_begin(unused, state, unused)
    for step, logs in ((5, {"loss": 0.5}), (6, {"loss": 0.25, "grad_norm": 1.0}), (6, {"eval_f1": 0.5})):
        state.global_step, seconds[0] = step, 10.0 * (step - 4)
        progress.on_step_end(unused, state, unused)
        progress.on_log(unused, state, unused, logs=logs)
    assert progress._work.text(progress._work.moved) == ("training 6/12 steps, loss 0.250, dev F1 50.00, 0:01:00 left")
    progress.on_train_end(unused, state, unused)
    assert written.getvalue().splitlines() == [
        "step 6, loss 0.250, dev F1 50.00",
        "trained   6 steps in 0:00:20, loss 0.250, dev F1 50.00",
    ]
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines[1] == {"step": 6, "loss": 0.25, "grad_norm": 1.0}
