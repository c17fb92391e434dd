"""Templates of strangers: what is allowed renders as in Jinja, and nothing takes more than its share."""

from __future__ import annotations

import subprocess
import sys

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from instruct_mner.prompting.bounded_templates import MOST_RESULT, MOST_SOURCE, TemplateFailure, compiled, rendered

LABELS = [{"name": f"L{number}", "definition": None if number % 2 else "a <thing>"} for number in range(400)]
DOUBLED = "{% set x = x ~ x %}"
LONG = '{% set x = "x" %}' + DOUBLED * 18
LOOPS = "{{% for a in labels %}}{{% for b in labels %}}{}{{% endfor %}}{{% endfor %}}"


def show(source: str, **variables: object) -> str:
    template = compiled("{% block shown %}" + source + "{% endblock %}")
    return rendered(template, "shown", {"labels": LABELS, "text": "an & b", **variables})


@pytest.mark.parametrize(
    "source",
    [
        "{% for label in labels if label.definition %}{{ loop.index * 2 }}{{ label.name.lower() }}{% endfor %}",
        "{{ labels|map(attribute='name')|join(', ') }} {{ labels|join('/', attribute='name') }}",
        "{{ labels|selectattr('definition')|list|length }} {{ labels[-1].name ~ 1 ~ none }} {{ labels[:2]|tojson(2) }}",
        "{% set found = labels|sort(attribute='name')|first %}{{ found.name + 'x' }}{{ (7 // 2) % 2 - 1.5 }}",
        "{% with a = text|upper|trim %}{{ a if a is string else 1 }}{{ text.split(' ')|last }}{% endwith %}",
        "{% for label in labels[:9] %}{{ loop.cycle('a', 'b') }}{{ loop.last }}{% endfor %}",
        "{% for key, value in labels[0]|dictsort %}{{ key }}: {{ value }} {% endfor %}",
        "{% raw %}{{ x }}{% endraw %}{# no #}{{ missing|default('none') }}{{ {'a': text}|tojson }}{{ [1, 2]|max }}",
    ],
)
def test_what_is_allowed_is_rendered_as_by_jinja(source: str) -> None:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True)
    assert show(source) == environment.from_string(source).render(labels=LABELS, text="an & b")


@given(st.lists(st.text(max_size=8)), st.text(max_size=3))
def test_texts_are_put_together_as_by_python(parts: list[str], between: str) -> None:
    separator = between.replace("\\", "").replace("'", "").replace("{", "").replace("\r", "").replace("\n", "")
    assert show(f"{{{{ parts|join('{separator}') }}}}", parts=parts) == separator.join(parts)
    assert show("{{ parts|first ~ parts|last }}", parts=[*parts, "x"]) == [*parts, "x"][0] + "x"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ('{{ "a" * 1000000000 }}', "'*' of str and int"),
        ('{{ "%1000000000d" % 1 }}', "'%' of str and int"),
        ("{{ 10 ** 10 ** 10 }}", "'**' of int and int"),
        ("{% set x = 99999999999 * 99999999999 %}{{ x * x }}", "'*' of int and int"),
        (LOOPS.format("{% for c in labels %}{% endfor %}"), "steps"),
        ("{% for a in range(99999) %}{% endfor %}", "'range' is undefined"),
        ('{{ "a"|center(1000000000) }}', "No filter named 'center'"),
        ('{{ labels|map("center", 99)|join }}', "No filter named 'center'"),
        ('{{ "a".center(1000000000) }}', "center() is not for prompt templates"),
        ('{{ "{:1000000000}".format(1) }}', "format() is not for prompt templates"),
        ("{{ labels|tojson(1000000000) }}", "numbers in the brackets of a filter"),
        ("{{ labels|tojson(indent=1000000000) }}", "numbers in the brackets of a filter"),
        ('{% set x = "x" %}' + DOUBLED * 60 + "{{ x }}", f"more than {MOST_RESULT} characters"),
        ('{% set x = "x" %}' + DOUBLED.replace("~", "+") * 60 + "{{ x }}", f"more than {MOST_RESULT} characters"),
        ('{% set x = "xyz" %}' + '{% set x = x|join("xxxxxxxx") %}' * 60, f"more than {MOST_RESULT} characters"),
        (LONG + "{{ x }}" * 9, f"more than {MOST_RESULT} characters"),
        (LONG + LOOPS.format("{{ x|upper|length }}"), "steps"),
        (LONG + LOOPS.format("{{ x.upper()|length }}"), "steps"),
        (LOOPS.format("{% if a.name == b.name %}{% endif %}" * 300), "steps"),
        ("{% set a = [labels, labels] %}{{ a }}", "a list with variables gets no name"),
        ("{% with a = {'x': [labels]} %}{{ a }}{% endwith %}", "a list with variables gets no name"),
        ("{% for a in (labels, labels) %}{{ a }}{% endfor %}", "a list with variables gets no name"),
        ("{{ labels|map(attribute='no')|map('default', labels)|list }}", "takes constants alone"),
        ("{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}", "'macro' is not"),
        ("{% for a in labels recursive %}{{ loop(labels) }}{% endfor %}", "a recursive loop is not"),
        ("{% set a %}x{% endset %}", "'assignblock' is not"),
        ('{% include "/etc/passwd" %}', "'include' is not"),
        ('{% import "x" as y %}', "'import' is not"),
        ("{{ namespace(a=1) }}", "'namespace' is undefined"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ text.nothing.more }}", "nothing"),
        ("{{ labels.__class__ }}", "unsafe"),
        ("{{ text + 1 }}", "'+' of str and int"),
        ("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", "RecursionError"),
        ("x" * (MOST_SOURCE + 1), "more than 20000"),
    ],
    ids=lambda value: value[:40],
)  # fmt: skip
def test_what_costs_more_than_its_share_is_refused(source: str, reason: str) -> None:
    with pytest.raises(TemplateFailure) as raised:
        show(source)
    assert reason in str(raised.value)


def test_memory_and_time_are_bounded_for_all_that_is_refused() -> None:
    """In a process with little memory and little time, which a template that does as it likes would use up."""
    code = """
import resource
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
import test_bounded_templates as tests
[mark] = tests.test_what_costs_more_than_its_share_is_refused.pytestmark
with open("/proc/self/statm") as file:
    pages = int(file.read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (256 << 20),) * 2)
for source, reason in mark.args[1]:
    tests.test_what_costs_more_than_its_share_is_refused(source, reason)
print("all")
"""
    folder = __file__.rpartition("/")[0]
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.stdout == "all\n", done.stderr[-2000:]
