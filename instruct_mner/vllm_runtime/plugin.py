"""Plugin of vLLM: occurrences are counted where a grammar carries what that needs; see ``embedded_pictures`` too.

vLLM finds :func:`install` (``vllm.general_plugins`` in ``pyproject.toml``) and calls it in each of its processes,
whoever starts them, where this package is installed beside vLLM. Grammars without the comment of
``answers/counted_grammar.py`` are vLLM's own business as before.

Source: vLLM 0.32, ``plugins/__init__.py``; ``v1/structured_output/__init__.py`` holds the list of backends, to which
nothing can be added. So a method of one is replaced, which can go when a plugin may bring a backend.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from vllm.logger import init_logger
from vllm.v1.structured_output.backend_guidance import GuidanceBackend
from vllm.v1.structured_output.backend_types import StructuredOutputGrammar, StructuredOutputOptions

from instruct_mner.answers.counted_grammar import counting_of
from instruct_mner.answers.guide import Further, Guide, Rest
from instruct_mner.vllm_runtime import embedded_pictures
from instruct_mner.vllm_runtime.counting import CountingGrammar

_MOST_THREADS = 8
_logger = init_logger(__name__)
_compile_uncounted = GuidanceBackend.compile_grammar


def install() -> None:
    """Let vLLM's guidance backend count, in this process; a second call changes nothing."""
    embedded_pictures.install()
    GuidanceBackend.compile_grammar = _compile_grammar  # type: ignore[assignment,method-assign]


def _compile_grammar(
    backend: GuidanceBackend,
    request_type: StructuredOutputOptions,
    grammar_spec: str,
    stop_token_ids: set[int] | None = None,
) -> StructuredOutputGrammar:
    """Return the grammar of a request, in the place of ``GuidanceBackend.compile_grammar``."""
    rest = counting_of(grammar_spec) if request_type is StructuredOutputOptions.GRAMMAR else None
    if rest is not None:
        tokenizer: Any = backend.ll_tokenizer
        guide = Guide(tokenizer, grammar_spec, _Careful(rest), _threads())
        if not guide.failed:
            return cast(StructuredOutputGrammar, CountingGrammar(guide, tokenizer.eos_token))
    return _compile_uncounted(backend, request_type, grammar_spec, stop_token_ids)


@dataclass(frozen=True)
class _Careful:
    """Maker of the grammars behind entities; where one cannot be made, the one there is stays."""

    rest: Rest

    @property
    def mark(self) -> bytes:
        return self.rest.mark

    def __call__(self, written: str) -> Further | None:
        try:
            return self.rest(written)
        except Exception as error:
            # No more than its type: the message may hold a post.
            _logger.warning("the grammar behind an entity cannot be made: %s", type(error).__name__)
            return None


@cache
def _threads() -> ThreadPoolExecutor:
    """Return threads in which llguidance, which lets go of Python's lock, makes grammars while others go on."""
    num_threads = max(1, min(_MOST_THREADS, (os.cpu_count() or 2) // 2))
    return ThreadPoolExecutor(num_threads, thread_name_prefix="instruct-mner-grammar")
