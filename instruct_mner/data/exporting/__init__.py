"""``Example`` and ``Prediction`` to the formats of other tools, and what these cannot hold."""
