"""Labelling interfaces of Label Studio, read with bounds."""

from __future__ import annotations

import pytest

from instruct_mner.data.exporting.label_studio import TagNames, results_of
from instruct_mner.schema.records import Box, Entity
from instruct_mner.serving.label_config import LabelConfig, read_label_config
from instruct_mner.serving.limits import RefusedError

FULL = """<View><!-- an interface -->
  <Labels name="ner" toName="post"><Label value="PER" background="red"/><Label value="LOC"/></Labels>
  <Text name="post" value="$tweet"/>
  <RectangleLabels name="rect" toName="pic"><Label value="PER"/></RectangleLabels>
  <Image name="pic" value="$photo"/>
</View>"""


def test_names_fields_and_labels() -> None:
    assert read_label_config(FULL) == LabelConfig(
        tags=TagNames(labels="ner", text="post", rectangles="rect", image="pic"),
        text_field="tweet",
        image_field="photo",
        labels=("PER", "LOC"),
    )


SPANS = '<Labels name="a" toName="b"><Label value="X"/></Labels><Text name="b" value="$c"/>'


def test_an_interface_without_a_picture_reads_none() -> None:
    config = read_label_config(f"<View>{SPANS}</View>")
    assert (config.image_field, config.text_field, config.labels) == (None, "c", ("X",))


@pytest.mark.parametrize(
    ("pictures", "image_field", "further", "has_rectangles"),
    [
        ('<Image name="i" value="$photo"/>', "photo", (), False),
        ('<Image name="i" valueList="$photos"/>', "photos", (), False),
        ('<Image value="$one"/><View><Image name="j" value="$two"/></View>', "one", ("two",), False),
        ('<Image name="i" value="$one"/><Image name="j" value="$two"/><RectangleLabels name="r" toName="j"/>',
         "two", ("one",), True),
        ('<Image name="i" value="$one"/><RectangleLabels name="r" toName="b"/>', "one", (), False),
    ],
)  # fmt: skip
def test_a_picture_is_read_with_and_without_rectangles(
    pictures: str, image_field: str, further: tuple[str, ...], has_rectangles: bool
) -> None:
    config = read_label_config(f"<View>{pictures}{SPANS}</View>")
    assert (config.image_field, config.further_image_fields) == (image_field, further)
    assert config.has_rectangles == has_rectangles


def test_labels_may_be_in_several_tags_and_a_tag_on_several_objects() -> None:
    more = """<Labels name="more" toName="pic, post"><Label value="ORG"/></Labels>
      <RectangleLabels name="others" toName="pic"><Label value="ORG"/><Label value="LOC"/></RectangleLabels></View>"""
    config = read_label_config(FULL.replace("</View>", more))
    assert config.labels == ("PER", "LOC", "ORG")
    assert (config.tags.labels_of, config.tags.rectangles_of) == (
        {"PER": "ner", "LOC": "ner", "ORG": "more"},
        {"PER": "rect", "ORG": "others", "LOC": "others"},
    )
    boxes = (Box(box=(1, 1, 2, 2)),)
    entities = [Entity(start=0, end=1, text="a", label=label, boxes=boxes) for label in ("PER", "ORG")]
    results = results_of(entities, (4, 4), config.tags)
    assert [each.get("from_name") for each in results] == ["ner", "rect", None, "more", "others", None]


def test_without_an_interface_names_are_those_of_convert() -> None:
    assert read_label_config(None) == read_label_config("") == LabelConfig()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("<View>", "not XML"),
        ("PER", "not XML"),
        ("<View/>", "no <Labels> on a <Text>"),
        ('<View><Labels name="a" toName="b"/><Image name="b"/></View>', "no <Labels> on a <Text>"),
        ('<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]><View>&c;</View>', "document type"),
        ("<View><![CDATA[a]]></View>", "document type or CDATA"),
        (FULL.replace("LOC", "MISC: other"), "label_config: label 'MISC: other' holds ': '"),
        (
            FULL.replace('"$tweet"', '"$tweet" valueType="url"'),
            'name="post" valueType="url">: texts are read from the tasks',
        ),
        (FULL.replace('"$tweet"', '"$tweet" encoding="base64"'), 'encoding="base64">: texts .*; take encoding out'),
        (
            FULL.replace('"post"><', '"post,b"><').replace("<Text", '<Text name="b"/><Text'),
            "texts 'post' and 'b'; a post has one",
        ),
        (FULL.replace("</View>", f"{SPANS}</View>"), "texts 'post' and 'b'; a post has one: keep those of one"),
        (
            FULL.replace("<Text", '<Labels name="n2" toName="post"><Label value="PER"/></Labels><Text'),
            "label 'PER' is in the <Labels> 'ner' and 'n2'; keep it in one",
        ),
        (
            FULL.replace("<Text", '<Labels name="n2" toName="post"/><Text'),
            "beside other <Labels>, 'n2' must name its labels",
        ),
        (FULL.replace("LOC", "L" * 201), "label_config: label 'L{40}'… is longer than the 200 characters"),
    ],
)
def test_what_cannot_be_read_is_refused(source: str, words: str) -> None:
    with pytest.raises(RefusedError, match=words) as refused:
        read_label_config(source)
    assert refused.value.status == 422
