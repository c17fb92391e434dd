import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from instruct_mner.cli import app
from instruct_mner.errors import DataError, MnerError
from instruct_mner.scoring.bootstrap import DEFAULT_NUM_RESAMPLES

CONLL = "IMGID:1\nBob\tB-PER\nin\tO\nParis\tI-LOC\n\nIMGID:2\nAnn\tB-PER\n"
ROWS = [
    {"id": "1", "text": "Bob in Paris", "entities": [{"start": 0, "end": 3, "text": "Bob", "label": "PER"}]},
    {"id": "2", "text": "Ann", "entities": [], "rejected": {"malformed": 1}},
]


def invoke(*arguments):
    result = CliRunner().invoke(app, ["evaluate", *map(str, arguments)])
    if isinstance(result.exception, MnerError):
        raise result.exception
    return result


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def gold(tmp_path):
    path = tmp_path / "test.txt"
    path.write_text(CONLL, encoding="utf-8")
    return f"conll:{path}"


@pytest.fixture
def predicted(tmp_path):
    return written(tmp_path / "said.jsonl", ROWS)


def test_prints_one_json_object_and_needs_no_pictures(gold, predicted):
    result = invoke(gold, predicted, "--json", "--resamples", 50, "--seed", 3)
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert report["micro"]["correct"] == 1
    assert (report["micro"]["predicted"], report["micro"]["gold"]) == (2, 3)
    assert report["gold"]["num_posts"] == 2
    assert len(report["gold"]["sha256"]) == 64
    assert report["bootstrap"] == {"seed": 3, "num_resamples": 50}


def test_decode_changes_the_gold_and_is_stamped(gold, predicted):
    report = json.loads(invoke(gold, predicted, "--json", "--decode", "strict").stdout)
    assert (report["gold"]["decode"], report["micro"]["gold"]) == ("strict", 2)


def test_match_is_handed_on(tmp_path):
    text = "Bob and Bob"
    mention = {"start": 0, "end": 3, "text": "Bob", "label": "PER"}
    gold = written(tmp_path / "gold.jsonl", [{"id": "1", "text": text, "entities": [mention]}])
    later = {**mention, "start": 8, "end": 11}
    said = written(tmp_path / "said.jsonl", [{"id": "1", "text": text, "entities": [later]}])
    found = {
        match: json.loads(invoke(gold, said, "--json", "--match", match).stdout)["micro"]["f1"]
        for match in ("offset", "surface", "surface-lower-set")
    }
    assert found == {"offset": 0.0, "surface": 1.0, "surface-lower-set": 1.0}


def test_boxes_survive_missing_pictures(tmp_path):
    mention = {"start": 0, "end": 3, "text": "Bob", "label": "PER", "boxes": [{"box": [0, 0, 9, 9]}]}
    post = {"id": "1", "text": "Bob", "images": ["lost.jpg"], "entities": [mention]}
    path = written(tmp_path / "gold.jsonl", [post])
    report = json.loads(invoke(path, path, "--json").stdout)
    assert report["triples"]["visible"]["f1"] == 1.0


def test_prints_a_table(gold, predicted):
    result = invoke(gold, predicted)
    assert result.exit_code == 0
    for part in ("micro", "40.00 ±", "span only", "1 malformed (50.00 %)", "not grounded"):
        assert part in result.stdout


def test_compares_a_second_file(gold, predicted, tmp_path):
    better = [ROWS[0], {**ROWS[1], "entities": [{"start": 0, "end": 3, "text": "Ann", "label": "PER"}]}]
    other = written(tmp_path / "better.jsonl", better)
    report = json.loads(invoke(gold, predicted, other, "--json").stdout)
    difference = report["comparison"]["differences"]["micro"]["difference"]
    assert difference == report["comparison"]["micro"]["f1"] - report["micro"]["f1"] > 0
    assert "less" in invoke(gold, predicted, other).stdout


def test_all_wrong_rows_are_named_with_file_and_line(gold, tmp_path):
    bad_span = {"id": "1", "text": "Bob in Paris", "entities": [{**ROWS[0]["entities"][0], "text": "Rob"}]}
    path = written(tmp_path / "bad.jsonl", [bad_span, ROWS[1], {"id": "3"}, {**ROWS[1], "extra": 1}])
    with path.open("a", encoding="utf-8") as file:
        file.write("\nnot json\n")
    with pytest.raises(DataError) as caught:
        invoke(gold, path)
    message = str(caught.value)
    for part in (
        f"{path}:1: entity 'Rob' at 0:3 does not stand there",
        f"{path}:3: text: is needed",
        f"{path}:4: extra: unknown field",
        f"{path}:6: not JSON",
    ):
        assert part in message
    assert f"{path}:2" not in message


def test_a_file_that_is_not_there_and_posts_that_do_not_pair(gold, predicted, tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.jsonl"):
        invoke(gold, tmp_path / "nowhere.jsonl")
    written(predicted, ROWS[:1])
    with pytest.raises(DataError, match=r"said\.jsonl: .*(.|\n)*1 gold post\(s\) without a prediction: '2'"):
        invoke(gold, predicted)


def test_help_warns_of_the_inflating_match_and_imports_nothing_heavy():
    # A fresh process: this one has imported everything.
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from instruct_mner.cli import app\n"
        "print(CliRunner().invoke(app, ['evaluate', '--help']).stdout)\n"
        "print('heavy:', sorted({'numpy', 'rich', 'torch'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "inflates the score" in " ".join(done.stdout.split())
    assert "heavy: []" in done.stdout


def test_bad_input_ends_with_code_2_and_one_message(gold, tmp_path):
    lost = tmp_path / "lost.jsonl"
    command = [sys.executable, "-m", "instruct_mner", "evaluate", gold, str(lost)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {lost}: there is no such file or folder; check the path\n"


def test_default_of_resamples_is_that_of_the_library(gold, predicted):
    report = json.loads(invoke(gold, predicted, "--json").stdout)
    assert report["bootstrap"]["num_resamples"] == DEFAULT_NUM_RESAMPLES
