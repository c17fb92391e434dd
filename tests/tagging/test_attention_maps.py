"""Attention maps of a model whose words around a mention look at its object."""

from __future__ import annotations

import torch

from instruct_mner import Tagger
from instruct_mner.data.loading import load_split
from instruct_mner.images import open_image
from instruct_mner.schema.labels import LabelSet
from instruct_mner.schema.records import PredictedEntity, Prediction
from instruct_mner.synthetic.settings import Synthesis
from instruct_mner.synthetic.write import synth
from instruct_mner.tagging.attention_maps import AttentionMapDrawer


def test_the_word_around_a_mention_that_looks_at_the_picture_is_drawn(tmp_path) -> None:
    dataset = load_split(str(synth(tmp_path, Synthesis(split="test"), 24, 3).path))
    tagger = Tagger.from_pretrained("starter")
    spec = tagger.answer_spec(LabelSet.of(["person", "place"]))
    drawer = AttentionMapDrawer(tagger, tmp_path / "none", tmp_path / "maps")
    drawer._layer, drawer._heads = 2, (2, 3)
    share: dict[bool, list[float]] = {True: [], False: []}
    for example in dataset.examples:
        images = tuple(map(open_image, dataset.picture_paths(example)))
        gold = [each for each in example.gold if each.boxes]
        [question], _ = tagger.questions_about([(example, images)], spec)
        named = tuple(PredictedEntity(**each.model_dump(include={"start", "end", "text", "label"})) for each in gold)
        prediction = Prediction(id=example.id, text=example.text, images=example.images, entities=named)
        for drawer._neighbours in share if gold else ():
            weights, [cells] = drawer._weights(question, prediction)
            middles = (cells[:, :2] + cells[:, 2:]) / 2 * torch.tensor(images[0].size)
            for row, entity in zip(weights, gold, strict=True):
                boxes = [torch.tensor(each.box) for each in entity.boxes or ()]
                inside = sum(((middles >= box[:2]) & (middles <= box[2:])).all(dim=1) for box in boxes) > 0
                share[drawer._neighbours].append(float(row[inside].sum()))
    around, alone = (sum(each) / len(each) for each in share.values())
    assert len(share[True]) > 20
    assert around > alone + 0.05, (around, alone)
