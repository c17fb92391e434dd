"""Features in the place of a picture, for Idefics3 and SmolVLM in vLLM, as it takes them for other families.

Source: vLLM 0.32, ``model_executor/models/idefics3.py``: the model takes ``image_embeds``, its processor does not know
how many tokens they are. It can go when that is mended there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vllm.model_executor.models.idefics3 import Idefics3MultiModalProcessor
from vllm.multimodal.parse import ImageEmbeddingItems
from vllm.multimodal.processing import PromptReplacement, PromptUpdate, PromptUpdateDetails

from instruct_mner.models.generated_pictures import blank_picture

_of_pictures = Idefics3MultiModalProcessor._get_prompt_updates


def install() -> None:
    """Let the processor take features, in this process; a second call changes nothing."""
    Idefics3MultiModalProcessor._get_prompt_updates = _prompt_updates  # type: ignore[method-assign]


def _prompt_updates(
    self: Any, mm_items: Mapping[str, Any], hf_processor_mm_kwargs: Mapping[str, object], out_mm_kwargs: Any
) -> Sequence[PromptUpdate]:
    """Return what takes the place of a picture's token, as ``Idefics3MultiModalProcessor._get_prompt_updates``.

    What stands around the features is what stands around those of a blank picture, as in training.
    """
    images = mm_items.get("image")
    if not isinstance(images, ImageEmbeddingItems):
        return _of_pictures(self, mm_items, hf_processor_mm_kwargs, out_mm_kwargs)  # type: ignore[arg-type]
    processor = self.info.get_hf_processor(**hf_processor_mm_kwargs)
    token = processor.image_token_id
    width, height = blank_picture().size
    written = self.info.get_image_repl(
        image_width=width, image_height=height, processor=processor, mm_kwargs=hf_processor_mm_kwargs
    )
    ids = self.info.get_tokenizer().encode(written, add_special_tokens=False)
    first, last = ids.index(token), len(ids) - ids[::-1].index(token)

    def replacement(index: int) -> PromptUpdateDetails:
        inside = [token] * images.get_feature_size(index)
        return PromptUpdateDetails.select_token_id([*ids[:first], *inside, *ids[last:]], token)

    return [PromptReplacement(modality="image", target=[token], replacement=replacement)]
