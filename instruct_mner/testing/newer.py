"""Tiny Qwen3-VL with experts, Qwen3.5, Gemma 4, GLM-4.6V and InternVL 3.5.

Their classes are looked up when a model is built, so that an older transformers can build the others.
"""

from __future__ import annotations

import transformers
from transformers import PreTrainedModel, PreTrainedTokenizerFast, ProcessorMixin, Qwen3VLVideoProcessor

from instruct_mner.testing import others, qwen
from instruct_mner.testing.text import shipped_template
from instruct_mner.testing.tokenizer import Vocabulary

QWEN3_5_VOCABULARY = Vocabulary(
    special_tokens=qwen.VOCABULARY.special_tokens,
    end_of_turn="<|im_end|>",
    chat_template=shipped_template("qwen3_5_think"),
    added=("<think>", "</think>"),
)
GEMMA4_VOCABULARY = Vocabulary(
    special_tokens=(
        "<pad>", "<eos>", "<bos>", "<|turn>", "<turn|>", "<|channel>", "<channel|>", "<|think|>", "<|image>",
        "<|image|>", "<image|>", "<|audio>", "<|audio|>", "<audio|>", "<|video|>",
    ),
    end_of_turn="<turn|>",
    chat_template=shipped_template("gemma4_v5"),
    named={
        "boi_token": "<|image>", "image_token": "<|image|>", "eoi_token": "<image|>",
        "boa_token": "<|audio>", "audio_token": "<|audio|>", "eoa_token": "<audio|>",
    },
)  # fmt: skip

_PICTURE = "{%- if item is mapping and item.type == 'image' -%}<|begin_of_image|><|image|><|end_of_image|>{%- elif"
GLM_VOCABULARY = Vocabulary(
    special_tokens=(
        "<|endoftext|>", "[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>",
        "<|begin_of_image|>", "<|image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|video|>", "<|end_of_video|>",
    ),
    # One of three that end generation, and the one that begins the turn after an answer.
    end_of_turn="<|user|>",
    # Source: the template of GLM-4.5, with pictures as GLM-4.6V writes them; that of GLM-4.6V itself was not seen.
    chat_template=shipped_template("glm4moe").replace(
        "{%- if item is mapping and item.type == 'text' -%}", f"{_PICTURE} item is mapping and item.type == 'text' -%}}"
    ),
    named={"image_token": "<|image|>", "video_token": "<|video|>"},
    added=("<think>", "</think>", "/nothink"),
)  # fmt: skip


def build_qwen3_vl_moe(
    tokenizer: PreTrainedTokenizerFast, width: int, layers: int
) -> tuple[PreTrainedModel, ProcessorMixin]:
    """Qwen3-VL with four experts, of which a token takes two."""
    text = qwen.text_settings(tokenizer, width, layers, {"mrope_interleaved": True})
    # vLLM 0.32 asks for `norm_topk_prob`, which published configs have.
    experts = {
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 3 * width // 4,
        "norm_topk_prob": True,
    }
    config = transformers.Qwen3VLMoeConfig(
        vision_config={**qwen.qwen3_vision(width), "deepstack_visual_indexes": [0]},
        text_config={**text, "head_dim": width // 4, **experts},
        tie_word_embeddings=True,
        **qwen.token_ids(tokenizer),
    )
    processor = qwen.processor_of(transformers.Qwen3VLProcessor, Qwen3VLVideoProcessor(), tokenizer, 16)
    return transformers.Qwen3VLMoeForConditionalGeneration(config), processor


def build_qwen3_5(
    tokenizer: PreTrainedTokenizerFast, width: int, layers: int
) -> tuple[PreTrainedModel, ProcessorMixin]:
    """Qwen3.5: all layers but each fourth and the last have linear attention. Heads of the published size, for vLLM."""
    section: dict[str, object] = {"mrope_section": [4, 2, 2], "mrope_interleaved": True, "partial_rotary_factor": 0.5}
    text = qwen.text_settings(tokenizer, width, layers, section)
    linear = {
        "linear_key_head_dim": 128, "linear_value_head_dim": 128,
        "linear_num_key_heads": 2, "linear_num_value_heads": 4,
    }  # fmt: skip
    kinds = [
        "full_attention" if layer % 4 == 0 or layer == layers else "linear_attention" for layer in range(1, layers + 1)
    ]
    config = transformers.Qwen3_5Config(
        vision_config=qwen.qwen3_vision(width),
        text_config={**text, "head_dim": 32, "layer_types": kinds, **linear},
        tie_word_embeddings=True,
        **qwen.token_ids(tokenizer),
    )
    processor = qwen.processor_of(transformers.Qwen3VLProcessor, Qwen3VLVideoProcessor(), tokenizer, 16)
    processor.chat_template = QWEN3_5_VOCABULARY.chat_template
    return transformers.Qwen3_5ForConditionalGeneration(config), processor


def build_gemma4(
    tokenizer: PreTrainedTokenizerFast, width: int, layers: int, *, shared: int = 0
) -> tuple[PreTrainedModel, ProcessorMixin]:
    """Gemma 4 with at most 70 image tokens a picture, embeddings for each layer, and no ears.

    Args:
        tokenizer: Tokenizer of :data:`GEMMA4_VOCABULARY`.
        width: Width of the decoder.
        layers: Number of layers, in turn with attention to a window and to all tokens.
        shared: Number of last layers that have the keys and values of layers before them.
    """
    tokenizer.bos_token = "<bos>"  # noqa: S105 (no password)
    kinds = ["full_attention" if number % 2 else "sliding_attention" for number in range(layers)]
    config = transformers.Gemma4Config(
        vision_config={
            "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 4, "head_dim": 16, "patch_size": 8, "pooling_kernel_size": 2,
            "position_embedding_size": 128,
            "default_output_length": 70,  # Of published configs; vLLM 0.32 asks for it.
        },
        text_config={
            "vocab_size": len(tokenizer), "hidden_size": width, "intermediate_size": 2 * width,
            "num_hidden_layers": layers, "layer_types": kinds, "num_kv_shared_layers": shared,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": width // 4, "global_head_dim": width // 2,
            "hidden_size_per_layer_input": 16, "vocab_size_per_layer_input": len(tokenizer), "sliding_window": 512,
            "max_position_embeddings": 8192, "final_logit_softcapping": 30.0,
            "pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id,
            "bos_token_id": tokenizer.bos_token_id,
        },
        audio_config=None,
        image_token_id=tokenizer.image_token_id,
        boi_token_id=tokenizer.boi_token_id,
        eoi_token_id=tokenizer.eoi_token_id,
        audio_token_id=tokenizer.audio_token_id,
        boa_token_id=tokenizer.boa_token_id,
        eoa_token_index=tokenizer.eoa_token_id,
        video_token_id=tokenizer.convert_tokens_to_ids("<|video|>"),
        tie_word_embeddings=True,
    )  # fmt: skip
    settings = {"patch_size": 8, "pooling_kernel_size": 2, "max_soft_tokens": 70}
    processor = transformers.Gemma4Processor(
        feature_extractor=transformers.Gemma4AudioFeatureExtractor(),
        image_processor=transformers.Gemma4ImageProcessor(**settings),
        tokenizer=tokenizer,
        video_processor=transformers.Gemma4VideoProcessor(**settings),
        chat_template=GEMMA4_VOCABULARY.chat_template,
        image_seq_length=70,
    )
    return transformers.Gemma4ForConditionalGeneration(config), processor


def build_gemma4_shared(
    tokenizer: PreTrainedTokenizerFast, width: int, layers: int
) -> tuple[PreTrainedModel, ProcessorMixin]:
    """Gemma 4 with as many layers again, which have the keys and values of the first ones, as E2B and E4B."""
    return build_gemma4(tokenizer, width, 2 * layers, shared=layers)


def build_glm46v(tokenizer: PreTrainedTokenizerFast, width: int, layers: int) -> tuple[PreTrainedModel, ProcessorMixin]:
    """GLM-4.6V, which rotates half of each head, pair by pair."""
    text = {
        **qwen.text_settings(tokenizer, width, layers, {}), "model_type": "glm4v_text",
        "rope_parameters": {
            "rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5,
            "mrope_section": [width // 16 - 2 * (width // 64), width // 64, width // 64],
        },
    }  # fmt: skip
    config = transformers.Glm46VConfig(
        vision_config={
            "model_type": "glm4v_vision", "depth": 2, "hidden_size": 64, "intermediate_size": 128, "num_heads": 4,
            "patch_size": 14, "image_size": 112, "spatial_merge_size": 2, "temporal_patch_size": 2,
            "out_hidden_size": width,
        },
        text_config=text,
        tie_word_embeddings=True,
        image_token_id=tokenizer.image_token_id,
        video_token_id=tokenizer.video_token_id,
        image_start_token_id=tokenizer.convert_tokens_to_ids("<|begin_of_image|>"),
        image_end_token_id=tokenizer.convert_tokens_to_ids("<|end_of_image|>"),
        video_start_token_id=tokenizer.convert_tokens_to_ids("<|begin_of_video|>"),
        video_end_token_id=tokenizer.convert_tokens_to_ids("<|end_of_video|>"),
    )  # fmt: skip
    size = {"shortest_edge": 2 * 64 * 64, "longest_edge": 2 * 128 * 128}
    processor = transformers.Glm46VProcessor(
        transformers.Glm46VImageProcessor(size=size, patch_size=14),
        tokenizer,
        transformers.Glm46VVideoProcessor(),
        chat_template=GLM_VOCABULARY.chat_template,
    )
    return transformers.Glm46VForConditionalGeneration(config), processor


def build_internvl3_5(
    tokenizer: PreTrainedTokenizerFast, width: int, layers: int
) -> tuple[PreTrainedModel, ProcessorMixin]:
    """InternVL 3.5: InternVL 3 with a decoder of Qwen3."""
    return others.build_internvl(tokenizer, width, layers, decoder="qwen3")
