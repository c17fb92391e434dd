"""The tagger as a component of a pipeline of spaCy: ``nlp.add_pipe("instruct_mner", config={"model": "starter"})``.

spaCy imports this module by the entry point ``spacy_factories`` when the component is added; nothing else does.
A pipeline that is read from a folder makes its component from the config again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from spacy.language import Language
from spacy.tokens import Doc

from instruct_mner.errors import ConfigError
from instruct_mner.tagging.argument_checks import check_value
from instruct_mner.tagging.arguments import CHECKS
from instruct_mner.tagging.client import Client
from instruct_mner.tagging.predictions import with_entities
from instruct_mner.tagging.tagger import Tagger
from instruct_mner.tagging.texts import WINDOW, TextTagger

NAME = "instruct_mner"


class EntityTagger:
    """Component that writes the entities of a tagger into ``doc.ents``, and their scores into ``doc.user_data``.

    Entities of components before it stay; see :func:`~instruct_mner.tagging.predictions.with_entities`.

    Args:
        tagger: Tagger, or client of a server.
        labels: Names of labels, or names with definitions.
        threshold: Confidence below which entities are left out.
    """

    def __init__(
        self, tagger: TextTagger, labels: Sequence[str] | Mapping[str, str | None] | None, threshold: float
    ) -> None:
        self._tagger, self._labels, self._threshold = tagger, labels, threshold

    def __call__(self, document: Doc) -> Doc:
        """Return a document with its entities."""
        return next(self.pipe([document]))

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = WINDOW) -> Iterator[Doc]:
        """Yield documents with their entities.

        Args:
            stream: Documents.
            batch_size: Number of documents that are tagged together.
        """
        documents = iter(stream)
        while batch := list(islice(documents, batch_size)):
            predictions = self._tagger(
                [document.text for document in batch], labels=self._labels, threshold=self._threshold, progress=False
            )
            yield from (with_entities(*pair) for pair in zip(batch, predictions, strict=True))


def make_component(
    nlp: Language,
    name: str,
    model: str,
    labels: list[str] | dict[str, str | None] | None,
    threshold: float,
    server: str | None,
) -> EntityTagger:
    """Return the component of a config.

    Args:
        nlp: Pipeline.
        name: Name of the component in the pipeline.
        model: Run folder, adapter or base model; with a server, the name under which it serves the model.
        labels: Names of labels, or names with definitions; needed for a model that was not tuned.
        threshold: Confidence below which entities are left out.
        server: Address of ``instruct-mner serve``, which then answers.

    Raises:
        MnerError: Labels or threshold are none, or the model or the server cannot be used.
    """
    if not model and server is None:
        raise ConfigError(f"component {name}: give config={{'model': …}}, a run folder, an adapter or a base model")
    for argument, value in (("labels", labels), ("threshold", threshold)):
        check_value(argument, value, CHECKS[argument])  # not at the first document
    tagger = Tagger.from_pretrained(model) if server is None else Client(server, model=model or None)
    return EntityTagger(tagger, labels, threshold)


Language.factory(
    NAME,
    default_config={"model": "", "labels": None, "threshold": 0.0, "server": None},
    assigns=["doc.ents"],
    func=make_component,
)
