"""Templates of strangers: a part of Jinja whose work and result are bounded, beside what the sandbox forbids.

An adapter brings its template along, and one line of Jinja (``{{ "a" * 10**9 }}``, two loops, a macro that calls
itself twice) takes all memory, or all time. What is left is: blocks, ``if``, ``for``, ``set`` and ``with``, filters
and methods that return no more than they are given, and texts put together, up to a length.

Source: https://jinja.palletsprojects.com/en/stable/sandbox/, which says that the sandbox does not bound resources.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, Undefined, nodes, pass_context
from jinja2.compiler import CodeGenerator, Frame
from jinja2.filters import FILTERS
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import _PassArg

MOST_SOURCE = 20_000
"""Largest number of characters of a template."""
MOST_RESULT = 400_000
"""Largest number of characters of a text that a template makes; no model reads as much."""
MOST_WORK = 2_000_000
"""Largest number of steps of a block: a part of the template in a round of a loop is one, and so are 100 characters."""
_CHARACTERS = 100
# The indent of JSON, for example.
_MOST_ARGUMENT = 100
_MOST_NUMBER = 10**12
_FILTERS = (
    "abs", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float", "int", "items", "last",
    "length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "reverse", "round", "select", "selectattr",
    "sort", "string", "title", "tojson", "trim", "unique", "upper", "wordcount",
)  # fmt: skip
_METHODS = (
    "capitalize", "count", "endswith", "find", "get", "items", "keys", "lower", "lstrip", "removeprefix",
    "removesuffix", "rstrip", "split", "startswith", "strip", "title", "upper", "values",
)  # fmt: skip
_STATEMENTS = (
    nodes.Output, nodes.TemplateData, nodes.Block, nodes.If, nodes.For, nodes.Assign, nodes.With, nodes.Scope,
)  # fmt: skip
_ERRORS = (
    TemplateError, ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, SyntaxError, TypeError,
    ValueError,
)  # fmt: skip
_LEFT = "work left"
_ROUNDS = "rounds"


class TemplateFailure(Exception):  # noqa: N818 (an error that is told as one of the config)
    """A template that cannot be compiled or rendered.

    Args:
        reason: Reason, for people.
        line: Line of the template, where it is known.
    """

    def __init__(self, reason: str, line: int | None = None) -> None:
        super().__init__(reason)
        self.line = line


def compiled(source: str) -> Template:
    """Compile a template.

    Raises:
        TemplateFailure: It is none, or has what is not allowed.
    """
    if len(source) > MOST_SOURCE:
        raise TemplateFailure(f"has {len(source)} characters, more than {MOST_SOURCE}")
    environment = _Environment(undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=False)
    try:
        return environment.from_string(source)
    except _ERRORS as error:
        raise _failure(error) from error


def rendered(template: Template, block: str, variables: Mapping[str, object]) -> str:
    """Render a block.

    Args:
        template: Template, of :func:`compiled`.
        block: Name of the block.
        variables: Variables of the template.

    Raises:
        TemplateFailure: It cannot be rendered, or its result is too long.
    """
    context = template.new_context({**variables, _LEFT: [MOST_WORK]})
    try:
        return "".join(_bounded(template.blocks[block](context)))
    except _ERRORS as error:
        raise _failure(error) from error


def _failure(error: Exception) -> TemplateFailure:
    reason = str(error) if isinstance(error, TemplateError) else f"{type(error).__name__}: {error}"
    return TemplateFailure(reason or type(error).__name__, getattr(error, "lineno", None))


def _bounded(pieces: Iterable[str]) -> Iterator[str]:
    length = 0
    for piece in pieces:
        length += len(piece)
        _check_length(length)
        yield piece


def _check_length(length: int) -> None:
    if length > MOST_RESULT:
        raise TemplateError(f"a text of more than {MOST_RESULT} characters")


def _spend(context: Context, *values: object, steps: int = 1) -> None:
    """Take work from what is left: some steps, and what the lengths of texts cost."""
    left = context[_LEFT]
    left[0] -= steps + sum(len(value) for value in values if isinstance(value, str)) // _CHARACTERS
    if left[0] < 0:
        raise TemplateError(f"more than {MOST_WORK} steps: loops in loops, or long texts made again and again")


def _put_together(context: Context, parts: Iterable[object], between: str = "") -> str:
    pieces = "".join(list(_bounded(piece for part in parts for piece in (between, str(part))))[1:])
    _spend(context, pieces)
    return pieces


@pass_context
def _rounds(context: Context, values: Iterable[object], num_parts: int) -> list[object]:
    """Return what a loop runs over, and take the work of its rounds from what is left."""
    found = []
    for value in values:
        _spend(context, steps=num_parts)
        found.append(value)
    return found


@pass_context
def _join(context: Context, values: Iterable[Any], d: object = "", attribute: str | None = None) -> str:
    chosen = values if attribute is None else (context.environment.getitem(value, attribute) for value in values)
    return _put_together(context, chosen, str(d))


def _costly(function: Any) -> Any:
    """Return a filter of Jinja that takes work from what is left."""
    kind = _PassArg.from_obj(function)
    passed: Mapping[_PassArg, Callable[[Context], object]] = {
        _PassArg.context: lambda context: context,
        _PassArg.eval_context: lambda context: context.eval_ctx,
        _PassArg.environment: lambda context: context.environment,
    }

    @pass_context
    def spending(context: Context, value: Any, *arguments: Any, **named: Any) -> Any:
        _spend(context, value)
        if any(isinstance(each, int) and abs(each) > _MOST_ARGUMENT for each in (*arguments, *named.values())):
            raise TemplateError(f"numbers in the brackets of a filter are at most {_MOST_ARGUMENT}")
        return function(*([passed[kind](context)] if kind else ()), value, *arguments, **named)

    return spending


class _Generator(CodeGenerator):
    """Generator of code that bounds what ``~`` puts together."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802 (name of Jinja)
        self.write("environment.put_together(context, (")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")


class _Environment(ImmutableSandboxedEnvironment):
    """Environment of bounded templates."""

    code_generator_class = _Generator
    intercepted_binops = frozenset(("+", "-", "*", "/", "//", "%", "**"))
    put_together = staticmethod(_put_together)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.globals.clear()
        self.filters = {name: _costly(FILTERS[name]) for name in _FILTERS}
        self.filters |= {"join": _join, _ROUNDS: _rounds}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for node in tree.find_all(nodes.Node):
            _check(node)
        for loop in list(tree.find_all(nodes.For)):
            num_parts = nodes.Const(sum(1 for _ in loop.find_all(nodes.Node)))
            loop.iter = nodes.Filter(loop.iter, _ROUNDS, [num_parts], [], None, None, lineno=loop.lineno)
        tree.set_environment(self)
        return tree

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            return _put_together(context, (left, right))
        numbers = all(isinstance(each, int | float) and abs(each) < _MOST_NUMBER for each in (left, right))
        if operator == "**" or not numbers:
            kinds = f"{type(left).__name__} and {type(right).__name__}"
            raise TemplateError(f"'{operator}' of {kinds} is not for prompt templates")
        return super().call_binop(context, operator, left, right)

    def call(self, context: Context, obj: Any, /, *arguments: Any, **named: Any) -> Any:
        _spend(context, getattr(obj, "__self__", None))
        if not isinstance(obj, Undefined) and not self.is_safe_callable(obj):
            raise TemplateError(f"{getattr(obj, '__name__', obj)}() is not for prompt templates")
        return context.call(obj, *arguments, **named)

    def is_safe_callable(self, obj: Any) -> bool:
        owner, name = getattr(obj, "__self__", None), getattr(obj, "__name__", "")
        return (isinstance(owner, str | dict) and name in _METHODS) or isinstance(owner, LoopContext)


def _check(node: nodes.Node) -> None:
    """Refuse statements that can do more than is written, and lists of lists by name, which double with every line."""
    if isinstance(node, nodes.Filter) and any(
        not isinstance(each, nodes.Const) for each in (*node.args, *(named.value for named in node.kwargs))
    ):
        raise TemplateSyntaxError(f"the filter '{node.name}' takes constants alone in prompt templates", node.lineno)
    if isinstance(node, nodes.Stmt) and not isinstance(node, _STATEMENTS):
        raise TemplateSyntaxError(f"'{type(node).__name__.lower()}' is not for prompt templates", node.lineno)
    if isinstance(node, nodes.For) and node.recursive:
        raise TemplateSyntaxError("a recursive loop is not for prompt templates", node.lineno)
    bound: list[nodes.Node] = []
    if isinstance(node, nodes.Assign):
        bound = [node.node]
    elif isinstance(node, nodes.For):
        bound = [node.iter]
    elif isinstance(node, nodes.With):
        bound = list(node.values)
    for value in bound:
        for literal in (value, *value.find_all((nodes.List, nodes.Tuple, nodes.Dict))):
            if isinstance(literal, nodes.List | nodes.Tuple | nodes.Dict) and any(literal.find_all(nodes.Name)):
                raise TemplateSyntaxError("a list with variables gets no name in prompt templates", node.lineno)
