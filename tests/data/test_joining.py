from __future__ import annotations

import pytest

from instruct_mner.data.bio import join_tokens
from instruct_mner.data.joining import choose_joiners, spaceless_gaps


@pytest.mark.parametrize(
    ("tokens", "text", "segmentation"),
    [
        (list("张伟去北京2天"), "张伟去北京2天", "characters"),
        (list("我看NBA"), "我看NBA", "characters"),
        (["张伟", "去", "北京", "，", "2", "天"], "张伟去北京，2天", "words"),
        (["我", "爱", "New", "York", "的", "冬天"], "我爱New York的冬天", "words"),
        (["昨日", "東京", "タワー", "に"], "昨日東京タワーに", "words"),
        (["สมชาย", "ไป", "เชียงใหม่"], "สมชายไปเชียงใหม่", "words"),
        (["김민수는", "서울에", "갔다"], "김민수는 서울에 갔다", "words"),
        (list("김민수는서울"), "김민수는서울", "characters"),
        (["Anna", "flew", "to", "東京", "!"], "Anna flew to 東京 !", "words"),
        (["I", "a"], "I a", "words"),
        (["…", "!"], "… !", "words"),
    ],
)
def test_how_tokens_are_joined(tokens: list[str], text: str, segmentation: str) -> None:
    joining = choose_joiners([tokens])
    assert join_tokens(tokens, [(0, 1, "X")], joining.joiners[0])[0] == text
    assert joining.segmentation == segmentation


def test_offsets_follow_the_gaps() -> None:
    tokens = ["我", "爱", "New", "York"]
    text, [entity] = join_tokens(tokens, [(2, 4, "LOC")], spaceless_gaps(tokens))
    assert (text, entity.text, entity.start) == ("我爱New York", "New York", 2)


def test_a_post_in_another_script_than_the_file() -> None:
    joining = choose_joiners([["Anna", "flew", "home"], ["張", "偉"], ["see", "you", "later"]])
    assert joining.joiners == [" ", ("",), " "]
