"""Labelling interfaces of Label Studio, read with bounds."""

from __future__ import annotations

import pytest

from instruct_mner.data.exporting.label_studio import TagNames
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


def test_without_rectangles_no_picture_is_looked_at() -> None:
    source = '<View><Labels name="a" toName="b"><Label value="X"/></Labels><Text name="b" value="$c"/></View>'
    config = read_label_config(source)
    assert (config.image_field, config.text_field, config.labels) == (None, "c", ("X",))


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
    ],
)
def test_what_cannot_be_read_is_refused(source: str, words: str) -> None:
    with pytest.raises(RefusedError, match=words) as refused:
        read_label_config(source)
    assert refused.value.status == 422
