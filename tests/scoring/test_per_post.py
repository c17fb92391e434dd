from __future__ import annotations

import numpy as np
import pytest

from instruct_mner.scoring.counts import Tally
from instruct_mner.scoring.per_post import EntitiesPerPost


def test_posts_with_fewer_and_more_are_shares_of_all() -> None:
    tally = Tally(np.array([1, 0, 2, 0]), np.array([1, 0, 4, 3]), np.array([2, 0, 3, 3]))
    found = EntitiesPerPost.of(tally)
    assert (found.gold, found.predicted, found.fewer, found.more) == pytest.approx((2.0, 2.0, 0.25, 0.25))
    assert found.describe() == (
        "entities per post: gold 2.00, predicted 2.00; fewer than gold in 25.0 % of the posts, more in 25.0 %"
    )


def test_no_post_at_all() -> None:
    nothing = np.array([], dtype=np.int64)
    assert EntitiesPerPost.of(Tally(nothing, nothing, nothing)) == EntitiesPerPost(0.0, 0.0, 0.0, 0.0)
