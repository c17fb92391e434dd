"""Tags: the kinds of objects in pictures, by any object detector of Hugging Face."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from huggingface_hub.constants import HF_HUB_DISABLE_PROGRESS_BARS
from huggingface_hub.utils.tqdm import enable_progress_bars
from transformers import AutoImageProcessor, AutoModelForObjectDetection
from transformers.utils import logging as transformers_logging

from instruct_mner.models.hub import DETECTOR_FILES, hub_errors

if TYPE_CHECKING:
    from PIL.Image import Image


class Detector:
    """Names the objects of pictures.

    Args:
        name: Hub name or folder, such as ``PekingU/rtdetr_v2_r18vd`` or ``hustvl/yolos-tiny``; safetensors only.
        least_score: Objects of lower confidence are left out.
        most_tags: The surest so many kinds.

    Raises:
        ModelError: It cannot be loaded, or is no object detector.
    """

    def __init__(self, name: str, least_score: float = 0.5, most_tags: int = 10) -> None:
        transformers_logging.disable_progress_bar()
        if not HF_HUB_DISABLE_PROGRESS_BARS:  # which the line above has disabled too
            enable_progress_bars()
        with hub_errors(name, None, DETECTOR_FILES):
            self._processor = AutoImageProcessor.from_pretrained(name)
            self._model = AutoModelForObjectDetection.from_pretrained(name, use_safetensors=True)
        self._model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
        self._least_score = least_score
        self._most_tags = most_tags

    def tags(self, picture: Image) -> tuple[str, ...]:
        """Return the kinds of its objects, each once, the surest first.

        Pictures are looked at one by one: in a batch they would be padded, and the scores would depend on the others.
        """
        inputs = self._processor(images=picture, return_tensors="pt").to(self._model.device)
        with torch.no_grad():
            outputs = self._model(**inputs)
        [output] = self._processor.post_process_object_detection(
            outputs, threshold=self._least_score, target_sizes=[(picture.height, picture.width)]
        )
        order = output["scores"].argsort(descending=True, stable=True)
        names = [self._model.config.id2label[label] for label in output["labels"][order].tolist()]
        # COCO's numbers have gaps, which DETR's labels call so.
        return tuple(dict.fromkeys(name for name in names if name != "N/A"))[: self._most_tags]
