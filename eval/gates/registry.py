"""All gates by name.

A gate takes no argument and returns a ``Result``. Where its input is not on this machine it raises
``SkippedGateError``.
"""

from __future__ import annotations

from eval.gates import answers, commands, fuzz, latex, lengths, scoring, serving, starter, training, walks
from eval.gates.common import Gate

GATES: dict[str, Gate] = {
    "validate-counts": commands.validate_counts,
    "offsets": answers.offsets,
    "seqeval": scoring.seqeval,
    "scorer-speed": scoring.scorer_speed,
    "not-visible-baseline": scoring.not_visible_baseline,
    "latex-tables": latex.latex_tables,
    "parse-fuzz": fuzz.parse_fuzz,
    "render-parse-identity": answers.render_parse_identity,
    "grammar-walks": walks.grammar_walks,
    "long-posts": lengths.long_posts,
    "memorise": training.memorise,
    "bare-trl": training.bare_trl,
    "help-time": commands.help_time,
    "starter-bayes": starter.starter_bayes,
    "starter-lookup": starter.starter_lookup,
    "starter-scores": starter.starter_scores,
    "starter-renamed": starter.starter_renamed,
    "starter-boxes": starter.starter_boxes,
    "starter-size": starter.starter_size,
    "starter-lora": starter.starter_lora,
    "served-agreement": serving.served_agreement,
    "calibrated": serving.calibrated,
    "constrained": serving.constrained,
}
"""By name, in the order in which they run."""
