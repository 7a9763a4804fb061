"""A model option from the `config.json` that Hugging Face keeps beside a model's weights.

Only families whose keys are known to mean what is read here: of another, or of a key that changes
the layers in a way not read, nothing is guessed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from infercost.errors import SpecError

FAMILIES = (
    *("llama", "mistral", "mixtral", "phi3", "qwen2", "qwen3", "qwen3_moe"),
    *("deepseek_v2", "deepseek_v3", "kimi_k2", "glm4_moe", "gpt_oss"),
)
"""Values of `model_type` that are read: gated blocks, grouped or latent attention, experts."""

_FORMATS = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}
_OF_QUANTISATION: dict[str | None, tuple[str | None, str | None, str | None]] = {
    None: (None, None, None),
    "fp8": ("fp8", "fp8", "fp8"),
    "mxfp4": (None, "mxfp4", None),
}
"""Method -> formats of weights, routed experts and products; none keeps the checkpoint's own."""
_BY_HAND = "Write its dimensions by hand: infercost new model NAME without --from"

Lines = dict[str, str]


class _Config:
    """The keys of a file; a missing one that is needed is a fault that names it."""

    def __init__(self, file: Path) -> None:
        self.place = str(file)
        try:
            self.keys = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise SpecError(self.place, "", "is not there", "Name the config.json") from None
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise SpecError(self.place, "", f"is not JSON: {error}", "Take it anew") from None
        if not isinstance(self.keys, Mapping):
            raise self.refused("", "holds no keys", "Take the config.json of a model")

    def count(self, *names: str, default: int | None = None) -> int:
        """The first of some keys that states a number."""
        for name in names:
            value = self.keys.get(name)
            if isinstance(value, int) and not isinstance(value, bool):
                return value
            if value is not None:
                raise self.refused(name, f"{value!r} is not a whole number", _BY_HAND)
        if default is None:
            raise self.refused(names[0], "is missing", _BY_HAND)
        return default

    def refused(self, key: str, fault: str, remedy: str) -> SpecError:
        return SpecError(self.place, key, fault, remedy)


def model_option(file: Path, name: str, params: float) -> str:
    """The YAML of a model option; raises `SpecError` for what is not read."""
    config = _Config(file)
    kind = config.keys.get("model_type", "")
    if kind not in FAMILIES:
        fault = f"'{kind}' is not read. Known: {', '.join(FAMILIES)}"
        raise config.refused("model_type", fault, _BY_HAND)
    layers = config.count("num_hidden_layers")
    mixers, mixer_of = _mixers(config, layers)
    ffns, ffn_of = _ffns(config, layers)
    groups = Counter(zip(mixer_of, ffn_of, strict=True))
    drafts = config.count("num_nextn_predict_layers", default=0)
    tied = str(bool(config.keys.get("tie_word_embeddings", False))).lower()
    return "\n".join(
        [
            f"# From {file.name}, model_type {kind}. Compare params with the model's card.",
            f"name: {name}",
            f"d_model: {config.count('hidden_size')}",
            f"vocab: {config.count('vocab_size')}",
            f"tied_embeddings: {tied}",
            f"max_context: {config.count('max_position_embeddings')}",
            *_block("mixers", mixers),
            *_block("ffns", ffns),
            "layers:",
            *(
                f"  {mixer}-{ffn}: {{count: {count}, mixer: {mixer}, ffn: {ffn}}}"
                for (mixer, ffn), count in groups.items()
            ),
            *(
                [
                    f"multi_token_prediction: {{depth: {drafts}, mixer: {mixer_of[-1]}, "
                    f"ffn: {ffn_of[-1]}}}"
                ]
                if drafts
                else []
            ),
            _formats(config),
            f"published: {{params: {params:.4e}}}",
            "sources:",
            f'  default: "derived: keys of {file.name}, model_type {kind}"',
            '  published: "derived: from the dimensions above, to be replaced by the card\'s"',
            "",
        ]
    )


def _block(key: str, lines: Lines) -> list[str]:
    return [f"{key}:", *(f"  {name}: {{{text}}}" for name, text in lines.items())]


def _mixers(config: _Config, layers: int) -> tuple[Lines, list[str]]:
    """Kinds of attention by name, and the one of each layer."""
    heads = config.count("num_attention_heads")
    if "kv_lora_rank" in config.keys:
        text = (
            f"kind: mla, n_q_heads: {heads}, q_rank: {config.count('q_lora_rank', default=0)}, "
            f"kv_rank: {config.count('kv_lora_rank')}, d_nope: {config.count('qk_nope_head_dim')}, "
            f"d_rope: {config.count('qk_rope_head_dim')}, d_value: {config.count('v_head_dim')}"
        )
        return {"mla": text}, ["mla"] * layers
    width = config.count("head_dim", default=config.count("hidden_size") // heads)
    shared = config.count("num_key_value_heads", default=heads)
    full = f"kind: gqa, n_q_heads: {heads}, n_kv_heads: {shared}, d_head: {width}"
    seen = _windows(config, layers)
    window = config.count("sliding_window") if "window" in seen else 0
    known = {"full": full, "window": f"{full}, window: {window}"}
    return {name: known[name] for name in dict.fromkeys(seen)}, seen


def _windows(config: _Config, layers: int) -> list[str]:
    """Whether each layer sees everything or a window."""
    kinds = config.keys.get("layer_types")
    if kinds is not None:
        named = {"full_attention": "full", "sliding_attention": "window"}
        unknown = sorted({str(kind) for kind in kinds} - set(named))
        if unknown or len(kinds) != layers:
            fault = f"{unknown or len(kinds)} are not kinds of {layers} layers that are read"
            raise config.refused("layer_types", fault, _BY_HAND)
        return [named[kind] for kind in kinds]
    if config.keys.get("use_sliding_window"):
        raise config.refused("use_sliding_window", "without layer_types is not read", _BY_HAND)
    slides = config.keys.get("sliding_window") and "use_sliding_window" not in config.keys
    within = config.keys.get("sliding_window") or 0
    every = slides and within < config.count("max_position_embeddings")
    return ["window" if every else "full"] * layers


def _ffns(config: _Config, layers: int) -> tuple[Lines, list[str]]:
    """Feed-forward blocks by name, and the one of each layer."""
    experts = config.count("n_routed_experts", "num_local_experts", "num_experts", default=0)
    for key, usual in (("moe_layer_freq", 1), ("decoder_sparse_step", 1), ("mlp_only_layers", [])):
        if experts and config.keys.get(key, usual) != usual:
            raise config.refused(key, f"{config.keys[key]} is not read, {usual} is", _BY_HAND)
    dense = f"kind: dense, d_ff: {config.count('intermediate_size')}, gated: true"
    if not experts:
        return {"dense": dense}, ["dense"] * layers
    width = config.count("moe_intermediate_size", "intermediate_size")
    shared = width * config.count("n_shared_experts", default=0)
    routed = (
        f"kind: moe, n_experts: {experts}, n_active: {config.count('num_experts_per_tok')}, "
        f"d_ff: {width}, gated: true" + (f", d_ff_shared: {shared}" if shared else "")
    )
    first = config.count("first_k_dense_replace", default=0)
    blocks = {"dense": dense, "moe": routed} if first else {"moe": routed}
    return blocks, ["dense"] * first + ["moe"] * (layers - first)


def _formats(config: _Config) -> str:
    """Number formats of the checkpoint; products in the format of its activations, or narrower.

    Checkpoints in fp8 keep embeddings, head and routers as they were (deepseek-v3-report, 3.3.1).
    """
    stated = config.keys.get("dtype", config.keys.get("torch_dtype", "bfloat16"))
    if stated not in _FORMATS:
        raise config.refused("torch_dtype", f"'{stated}' is no format that is read", _BY_HAND)
    own = _FORMATS[stated]
    method = (config.keys.get("quantization_config") or {}).get("quant_method")
    if method not in _OF_QUANTISATION:
        remedy = "Take the unquantised model's file, and a mitigation such as +mitigation=[w4]"
        raise config.refused("quantization_config", f"'{method}' is not read", remedy)
    weights, experts, products = (found or own for found in _OF_QUANTISATION[method])
    tables = f", tables: {own}" if weights != own else ""
    return (
        f"formats: {{weights: {weights}, experts: {experts}, kv: {own}, activations: {own}, "
        f"compute: {products}{tables}}}"
    )
