from importlib.metadata import PackageNotFoundError, version

from typer.testing import CliRunner

from instruct_mner.cli import app, env


def test_versions_are_printed_a_line_each():
    result = CliRunner().invoke(app, ["env"])
    assert result.exit_code == 0
    python, *libraries = result.output.splitlines()
    assert python.startswith("python 3.")
    assert f"instruct-mner {version('instruct-mner')}" in libraries
    assert f"torch {version('torch')}" in libraries
    assert all(len(line.split()) >= 2 for line in libraries)


def test_what_is_absent_is_said(monkeypatch):
    def nothing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(env, "version", nothing)
    lines = CliRunner().invoke(app, ["env"]).output.splitlines()[1:]
    assert lines
    assert all(line.endswith(" not installed") for line in lines)
