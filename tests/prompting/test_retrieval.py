"""Few-shot by similarity: what is near, what may never be shown, in which order, and from which cache."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from families import FAMILY_NAMES
from PIL import Image

from instruct_mner.data.jsonl import write_jsonl
from instruct_mner.errors import DataError
from instruct_mner.prompting import retrieval_cache
from instruct_mner.prompting.retrieval import Neighbours, Pool, build_index, text_vectors
from instruct_mner.prompting.retrieval_cache import cached_index
from instruct_mner.schema.records import Example, UnnamedExample
from instruct_mner.tagging.word_embedder import WordEmbedder

TEXTS = [
    "the striker scored twice for Arsenal",
    "the striker missed a penalty for Chelsea",
    "parliament votes on the budget",
    "parliament debates the budget in London",
    "new album of the band is out",
]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "instruct-mner" / "examples"


def pool_of(folder: Path, texts=TEXTS, num: int = 1) -> Pool:
    write_jsonl(
        folder / "train.jsonl",
        [Example(id=f"t{number}", text=text, entities=()) for number, text in enumerate(texts)],
    )
    return Pool.load(str(folder / "train.jsonl"), num)


def neighbours_of(pool: Pool, embedder=None) -> Neighbours:
    embedder = embedder or WordEmbedder()
    return Neighbours(pool, build_index(pool, embedder, lambda post: [], ()), embedder, ())


def texts_for(neighbours: Neighbours, *posts: Example) -> list[list[str]]:
    pool = neighbours.pool.dataset.examples
    return [[pool[place].text for place in each] for each in neighbours.choose([(post, ()) for post in posts])]


def test_the_nearest_in_words(tmp_path) -> None:
    found = texts_for(
        neighbours_of(pool_of(tmp_path)),
        Example(id="a", text="which striker scored twice ?"),
        Example(id="b", text="Parliament : budget ( London )"),
        Example(id="c", text="that band and its album"),
    )
    assert found == [[TEXTS[0]], [TEXTS[3]], [TEXTS[4]]]


def test_a_post_is_never_its_own_example(tmp_path) -> None:
    neighbours = neighbours_of(pool_of(tmp_path, [*TEXTS, TEXTS[0].upper() + " !!"], num=6))
    by_text, by_id = texts_for(neighbours, Example(id="x", text=TEXTS[0]), Example(id="t0", text="something else"))
    assert sorted(by_text) == sorted(TEXTS[1:])  # nor in another spelling
    assert TEXTS[0] not in by_id
    assert len(by_id) == 5
    # The id of a text of a call is no more than its place there.
    nearest, own = texts_for(
        neighbours, UnnamedExample(id="t0", text="a striker who scored"), UnnamedExample(id="t0", text=TEXTS[0])
    )
    assert TEXTS[0] in nearest
    assert sorted(own) == sorted(TEXTS[1:])


def test_the_choice_depends_on_the_post_alone_and_comes_in_one_order(tmp_path) -> None:
    neighbours = neighbours_of(pool_of(tmp_path, num=3))
    posts = [(Example(id=f"q{number}", text=f"{text} today"), ()) for number, text in enumerate(TEXTS)]
    together = neighbours.choose(posts)
    assert [neighbours.choose([post])[0] for post in posts] == together
    places = {place: position for each in together for position, place in enumerate(each)}
    assert set(places) <= set(range(5))
    ranks = neighbours._rank
    assert all(list(each) == sorted(each, key=lambda place: ranks[place]) for each in together)


def test_posts_with_the_same_examples_are_asked_one_after_the_other(tmp_path) -> None:
    neighbours = neighbours_of(pool_of(tmp_path))
    chosen = [(0,), (3,), (0,), (3,), (0,)]
    order = neighbours.order(chosen)
    assert sorted(order) == [0, 1, 2, 3, 4]
    runs = [chosen[number] for number in order]
    assert sum(first != second for first, second in pairwise(runs)) == 1


def test_rare_words_weigh_more_than_common_ones() -> None:
    embedder = WordEmbedder()
    counts = Counter({embedder.tokens("the")[0]: 1000, embedder.tokens("Lagos")[0]: 1})
    [vector] = text_vectors(["the Lagos"], embedder, counts)
    common, rare = (vector[embedder.tokens(word)[0]] for word in ("the", "Lagos"))
    total = 1001
    assert common == pytest.approx(1e-3 / (1e-3 + 1000 / total) / 2)
    assert rare == pytest.approx(1e-3 / (1e-3 + 1 / total) / 2)


def test_the_cache_is_used_until_something_changes(tmp_path, cache) -> None:
    pool, embedder, made = pool_of(tmp_path), WordEmbedder(), []

    def build():
        made.append(1)
        return build_index(pool, embedder, lambda post: [], ())

    first, second = (cached_index(pool, embedder, 1, build) for _ in range(2))
    assert len(made) == 1
    assert np.array_equal(first.vectors.text, second.vectors.text)
    assert first.counts == second.counts
    assert first.votes.tolist() == second.votes.tolist()
    [kept] = cache.glob("*.npz")
    kept.write_bytes(kept.read_bytes()[:100])
    cached_index(pool, embedder, 1, build)
    assert len(made) == 2  # a torn file is made again
    pool = pool_of(tmp_path, [*TEXTS, "one more"])
    cached_index(pool, embedder, 1, build)
    assert len(made) == 3
    assert retrieval_cache.cache_folder() == cache


def test_too_few(tmp_path) -> None:
    with pytest.raises(DataError, match="9 annotated posts are needed, it has 5"):
        pool_of(tmp_path, num=9)


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_the_models_own_embeddings_of_pictures(family, tiny_models) -> None:
    """The same picture is nearest to itself, whatever shares its batch; nothing is left behind on the model."""
    from instruct_mner.engines.transformers import TransformersEngine
    from instruct_mner.models.loading import load_model
    from instruct_mner.tagging.model_embedder import ModelEmbedder

    loaded = load_model(str(tiny_models(family)), dtype="float32")
    embedder = ModelEmbedder(loaded, TransformersEngine(loaded), batch_size=2)
    pictures = [Image.new("RGB", (90, 60), colour) for colour in ("red", "blue")]
    pictures.append(Image.effect_noise((60, 90), 80).convert("RGB"))
    posts = [(picture,) for picture in pictures] + [()]
    found = embedder.pictures(posts)
    assert found.shape == (4, loaded.model.get_input_embeddings().weight.shape[1])
    assert not found[3].any()
    for number, picture in enumerate(pictures):
        [alone] = embedder.pictures([(picture,)])
        distances = [np.abs(alone - other).max() for other in found[:3]]
        assert distances[number] < 1e-4
        assert min(distances[:number] + distances[number + 1 :]) > 1e-3
    assert embedder.identity == ModelEmbedder(loaded, TransformersEngine(loaded)).identity
    loaded.processor.image_processor.image_mean = [0.25, 0.25, 0.25]
    assert embedder.identity != ModelEmbedder(loaded, TransformersEngine(loaded)).identity
    decoder = loaded.model.get_submodule(loaded.family.decoder_path)
    assert not decoder._forward_pre_hooks
