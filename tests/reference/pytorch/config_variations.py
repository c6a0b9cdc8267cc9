"""Ways to write config.json of one model, by family: what a folder from elsewhere may say instead of what ours says.

A variation sets keys of the case's config.json (REMOVE takes one away). `refused`: Trireme does not compute it and
names that. `reason`: why Trireme and transformers part where one of them refuses what the other computes. `tensors`: a
way to store the same weights.
"""

REMOVE = object()


class Variation:
    """What differs from the case in cases/FAMILY."""

    def __init__(self, name, keys, refused=None, reason=None, tensors="as they are"):
        self.name, self.refused, self.reason, self.tensors = name, refused, reason, tensors
        self.set = {key: value for key, value in keys.items() if value is not REMOVE}
        self.remove = [key for key, value in keys.items() if value is REMOVE]

    def apply(self, config):
        return {**{key: value for key, value in config.items() if key not in self.remove}, **self.set}


def vary(name, refused=None, reason=None, tensors="as they are", **keys):
    return Variation(name, keys, refused, reason, tensors)


OTHER_HEAD = "its name says another head, whose weights would be lost"
OTHER_FAMILY = "its name says another family, whose function may differ"
STRICT = "transformers 5 refuses a number with a point here, 4 takes it"


def nulls(refused, taken):
    """null for each key that transformers takes no null for, and for each that may be null."""
    return [vary(f"{key} is null", key, **{key: None}) for key in refused] + [
        vary(f"{key} is null", **{key: None}) for key in taken]


def of_all(family, causal, headless):
    """What every family may say."""
    return [
        vary("a wrapper's name", architectures=["PeftModelForCausalLM"]),
        vary("a name in another case", architectures=[causal.lower()]),
        vary("a name in capitals", architectures=[causal.upper()]),
        vary("no name in the list", architectures=[]),
        vary("no list of names", architectures=REMOVE),
        vary("null for names", architectures=None),
        vary("a headless name", architectures=[headless]),
        vary("two names", architectures=[headless, causal]),
        vary("the name of a trainer's wrapper", architectures=["FSDP" + causal]),
        vary("the name of a value head", architectures=[causal + "WithValueHead"]),
        vary("a classifier's name", "architectures", OTHER_HEAD,
             architectures=[headless.replace("Model", "ForSequenceClassification")]),
        vary("an answerer's name", "architectures", OTHER_HEAD,
             architectures=[headless.replace("Model", "ForQuestionAnswering")]),
        vary("a headless folder", tensors="without the prefix", architectures=[headless]),
        vary("names without the prefix", tensors="without the prefix"),
        vary("Infinity in a key that is not read", length_penalty=float("inf")),
        vary("-Infinity in a list", bad_words=[1, float("-inf"), "NaN"]),
        vary("NaN in an object", task_specific_params={"text": {"top_p": float("nan")}}),
        vary("torch_dtype", torch_dtype="float32", dtype=REMOVE),
        vary("both types", torch_dtype="float32"),
        vary("no cache", use_cache=False),
        vary("of an older version", transformers_version="4.3.0"),
        vary("special tokens", bos_token_id=None, eos_token_id=[1, 2], pad_token_id=3),
        vary("another initialization", initializer_range=0.5),
        vary("an attention kernel's name", attn_implementation="sdpa"),
        vary("an encoder's flag", is_encoder_decoder=True),
        vary("two-way attention", "is_causal", is_causal=False),
        vary("one-way attention, said", is_causal=True),
        vary("pruned heads", "pruned_heads", "transformers 4 takes these heads away, 5 does not read the key",
             pruned_heads={"0": [1]}),
        vary("no pruned heads", pruned_heads={}),
        vary("a layer of its own", "per_layer_config", "GPT-2 of transformers 5 leaves it alone, the others fail on it",
             per_layer_config={"0": {"num_attention_heads": 1}}),
        vary("quantized", "quantization_config",
             quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True}),
        vary("no model_type", "model_type", model_type=REMOVE),
        vary("model_type in another case", "model_type", model_type=family.upper()),
        vary("another vocabulary", "wte.weight" if family == "gpt2" else "embed_tokens.weight", vocab_size=140),
        vary("no vocabulary", "vocab_size", vocab_size=REMOVE),
        vary("vocabulary with a point", reason=STRICT, vocab_size=131.0),
        *nulls(["vocab_size", "tie_word_embeddings", "is_causal"],
               ["quantization_config", "pruned_heads", "per_layer_config"]),
    ]


def gpt2():
    dropout = {"resid_pdrop": 0.1, "embd_pdrop": 0.1, "attn_pdrop": 0.1}
    return of_all("gpt2", "GPT2LMHeadModel", "GPT2Model") + nulls(
        ["n_layer", "num_hidden_layers", "n_embd", "hidden_size", "n_head", "num_attention_heads", "n_positions",
         "max_position_embeddings", "activation_function", "resid_pdrop", "embd_pdrop", "attn_pdrop",
         "layer_norm_epsilon", "scale_attn_weights", "scale_attn_by_inverse_layer_idx", "add_cross_attention"],
        ["rope_scaling"]) + [
        vary("two heads", architectures=["GPT2DoubleHeadsModel"]),
        vary("n_inner is null", n_inner=None),
        *[vary(name, activation_function=name) for name in
          ("gelu_fast", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_accurate")],
        *[vary(name, "activation_function", activation_function=name) for name in
          ("gelu", "gelu_10", "gelu_python", "quick_gelu", "relu", "silu", "GELU_NEW")],
        vary("no activation", activation_function=REMOVE),
        vary("another n_ctx", n_ctx=1024),
        vary("a shorter n_ctx", n_ctx=7),
        vary("no n_positions", "n_positions", n_positions=REMOVE),
        vary("max_position_embeddings", n_positions=REMOVE, max_position_embeddings=64),
        vary("the other names of sizes", n_embd=REMOVE, n_head=REMOVE, n_layer=REMOVE, hidden_size=36,
             num_attention_heads=3, num_hidden_layers=2),
        vary("both names of a size", hidden_size=36, num_attention_heads=3),
        vary("two sizes", "hidden_size", hidden_size=48),
        vary("no n_head, which means 12", n_head=REMOVE),
        vary("no n_layer", "n_layer", n_layer=REMOVE),
        vary("no n_embd", "n_embd", n_embd=REMOVE),
        vary("n_head = 4", n_head=4),
        vary("n_head = 9", n_head=9),
        vary("no n_inner", n_inner=REMOVE),
        vary("n_inner said", n_inner=144),
        vary("n_inner = 72", "c_fc", n_inner=72),
        vary("sizes with a point", reason=STRICT, n_embd=36.0, n_layer=2.0, n_positions=64.0),
        vary("no epsilon", layer_norm_epsilon=REMOVE),
        vary("epsilon = 1e-3", layer_norm_epsilon=1e-3),
        vary("dropout", **dropout),
        vary("dropout by default", **{key: REMOVE for key in dropout}),
        vary("one rate of dropout", embd_pdrop=0.5),
        vary("attention without a scale", "scale_attn_weights", scale_attn_weights=False),
        vary("attention scaled by layer", "scale_attn_by_inverse_layer_idx", scale_attn_by_inverse_layer_idx=True),
        vary("attention in another order", reorder_and_upcast_attn=True),
        vary("no switches", scale_attn_weights=REMOVE, scale_attn_by_inverse_layer_idx=REMOVE,
             reorder_and_upcast_attn=REMOVE, add_cross_attention=REMOVE),
        vary("cross attention", "add_cross_attention", add_cross_attention=True),
        vary("nothing of tied", tie_word_embeddings=REMOVE),
        vary("untied without a head", "lm_head.weight", tie_word_embeddings=False),
        vary("untied with a head", tensors="with the head", tie_word_embeddings=False),
        vary("tied with a head that is equal", tensors="with the head"),
        vary("tied with the head alone", tensors="the head alone"),
        vary("a scaling of RoPE, which it has not", rope_scaling={"type": "linear", "factor": 4.0}),
        vary("no summary", summary_type=REMOVE, summary_use_proj=REMOVE, summary_first_dropout=REMOVE),
        vary("a window, which it has not", sliding_window=4, use_sliding_window=True),
    ]


def ropes(head_dim, context):
    """Of both families with RoPE: rope_parameters of a case are taken away where rope_scaling is set."""
    half = head_dim // 2

    def table(name, refused=None, reason=None, **keys):
        return vary(name, refused, reason, rope_parameters={"rope_theta": 10000.0, **keys})

    def old(name, refused=None, reason=None, theta=10000.0, **keys):
        return vary(name, refused, reason, rope_parameters=REMOVE, rope_theta=theta, rope_scaling=keys or None)

    longrope = {"rope_type": "longrope", "short_factor": [1.0] * half, "long_factor": [4.0] * half}
    llama3 = {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    return [
        old("plain RoPE of transformers 4"),
        *nulls([], ["rope_parameters", "partial_rotary_factor"]),
        vary("null for theta", "rope_theta", rope_parameters=REMOVE, rope_theta=None),
        table("null for theta in the table", "rope_theta", rope_type="default", rope_theta=None),
        old("null for rope_type", "rope_type", rope_type=None),
        old("null for type", "type", type=None, factor=2.0),
        old("null for a factor", "factor", rope_type="linear", factor=None),
        old("null for a factor of dynamic", "factor", type="dynamic", factor=None),
        old("null for the numbers of yarn", type="yarn", factor=1.0, beta_fast=None, beta_slow=None, mscale=None,
            mscale_all_dim=None, attention_factor=None, original_max_position_embeddings=32),
        old("null for the context of yarn", "original_max_position_embeddings", type="yarn", factor=1.0,
            original_max_position_embeddings=None),
        old("null for the context of llama3", "original_max_position_embeddings",
            **dict(llama3, original_max_position_embeddings=None)),
        old("null for truncate", theta=4.0, type="yarn", factor=4.0, attention_factor=1.0, truncate=None,
            original_max_position_embeddings=1024),
        old("null for a factor of llama3", "factor", rope_type="llama3", factor=None, low_freq_factor=1.0,
            high_freq_factor=4.0),
        old("theta = 500000", theta=500000),
        old("theta that is no 32-bit float", theta=123456.789),
        old("theta beyond 24 bits", theta=16777217),
        table("theta in the table that is no 32-bit float", rope_type="default", rope_theta=98765.4321),
        vary("no RoPE at all", rope_parameters=REMOVE),
        vary("an empty table", rope_parameters={}),
        vary("an empty rope_scaling", rope_scaling={}),
        table("type instead of rope_type", type="default"),
        old("linear 1", type="linear", factor=1.0),
        old("linear 1, a whole number", rope_type="linear", factor=1),
        table("linear 1 of transformers 5", rope_type="linear", factor=1.0),
        old("linear 2", "factor", type="linear", factor=2.0),
        old("linear without a factor", "factor", type="linear"),
        old("dynamic 2", type="dynamic", factor=2.0),
        table("dynamic 8.5", rope_type="dynamic", factor=8.5),
        old("dynamic without a factor", "factor", type="dynamic"),
        old("yarn 1", type="yarn", factor=1.0, original_max_position_embeddings=32),
        table("yarn 1 with ramps", rope_type="yarn", factor=1.0, beta_fast=16, beta_slow=2, attention_factor=1.0),
        old("yarn of equal contexts", type="yarn", factor=None, original_max_position_embeddings=context),
        old("yarn 4", "factor = 4", type="yarn", factor=4.0, original_max_position_embeddings=32),
        old("yarn 4 without a scale of attention", "factor = 4", type="yarn", factor=4.0, attention_factor=1.0,
            original_max_position_embeddings=32),
        old("yarn 1 with a scale of attention", "attention_factor", type="yarn", factor=1.0, attention_factor=1.25),
        # Every pair of a head turns more than 32 times within the original context.
        old("yarn 4 that keeps every frequency", theta=4.0, type="yarn", factor=4.0, attention_factor=1.0,
            original_max_position_embeddings=1024),
        old("yarn 4 that keeps every frequency, by equal scales", theta=4.0, type="yarn", factor=4.0, mscale=0.7,
            mscale_all_dim=0.7, original_max_position_embeddings=1024),
        table("longrope within the trained length", **longrope, original_max_position_embeddings=40,
              attention_factor=1.0),
        table("longrope beyond the trained length", "original_max_position_embeddings", **longrope,
              original_max_position_embeddings=39, attention_factor=1.0),
        table("longrope of equal contexts", **longrope),
        table("longrope with factor 1", **longrope, factor=1.0, original_max_position_embeddings=48),
        table("longrope that scales attention", "attention_factor", **longrope, original_max_position_embeddings=48),
        table("longrope of shorter frequencies", "short_factor",
              **dict(longrope, short_factor=[1.0] * (half - 1) + [2.0])),
        table("longrope that is 1 everywhere", **dict(longrope, long_factor=[1.0] * half),
              original_max_position_embeddings=16, attention_factor=1.0),
        table("proportional 1", rope_type="proportional"),
        table("proportional 2", "factor", rope_type="proportional", factor=2.0),
        table("an unknown type", "rope_type", rope_type="ntk"),
        table("the old name of longrope", "rope_type", rope_type="su", short_factor=[1.0] * half,
              long_factor=[1.0] * half),
        table("a table for each type of layer", "full_attention", full_attention={"rope_type": "default"},
              reason="transformers' plain models read no such table, and others would"),
        old("llama3", **llama3, original_max_position_embeddings=32),
        old("llama3 without its context", **llama3),
        table("llama3 of transformers 5", **llama3, original_max_position_embeddings=16),
        vary("llama3 with its context beside it", rope_parameters={"rope_theta": 10000.0, **llama3},
             original_max_position_embeddings=32),
        old("llama3 with factor 1", **dict(llama3, factor=1.0), original_max_position_embeddings=32),
        old("llama3 without a factor", "factor", rope_type="llama3", low_freq_factor=1.0, high_freq_factor=4.0),
        old("a part of the head, which plain RoPE does not read", partial_rotary_factor=0.5),
        vary("a part of the head beside it", rope_parameters=REMOVE, partial_rotary_factor=0.5),
        old("a part of the head with linear", "partial_rotary_factor", type="linear", factor=1.0,
            partial_rotary_factor=0.5),
        vary("both places, equal", rope_parameters={"rope_type": "default", "rope_theta": 10000.0}, rope_theta=10000,
             rope_scaling={"type": "linear", "factor": 1.0}),
        vary("both places, contradicting", "rope_parameters", "transformers 4 reads the one, 5 the other",
             rope_parameters={"rope_type": "default", "rope_theta": 10000.0}, rope_theta=500000.0),
    ]


def of_llama_likes(family):
    """Of all families but GPT-2; keys of heads are another matter."""
    others = {"Mistral": "MistralForCausalLM", "Qwen 3": "Qwen3ForCausalLM"}
    return nulls(["hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
                  "max_position_embeddings", "hidden_act", "rms_norm_eps"], []) + [
        vary("swish", hidden_act="swish"),
        vary("no activation", hidden_act=REMOVE),
        *[vary(name, "hidden_act", hidden_act=name) for name in ("gelu", "gelu_new", "relu", "SiLU")],
        vary("no max_position_embeddings", max_position_embeddings=REMOVE),
        vary("a longer context", max_position_embeddings=131072),
        vary("a context with a point", reason=STRICT, max_position_embeddings=8192.0),
        vary("sizes with a point", reason=STRICT, hidden_size=36.0, num_hidden_layers=2.0, intermediate_size=50.0),
        vary("no width", "hidden_size", hidden_size=REMOVE),
        vary("no layers", "num_hidden_layers", num_hidden_layers=REMOVE),
        vary("no heads", "num_attention_heads", num_attention_heads=REMOVE),
        vary("no ffn", "intermediate_size", intermediate_size=REMOVE),
        vary("null key heads", "k_proj", num_key_value_heads=None),
        vary("no epsilon", rms_norm_eps=REMOVE),
        vary("epsilon = 1e-3", rms_norm_eps=1e-3),
        vary("dropout of attention", attention_dropout=0.1),
        vary("no key of dropout", attention_dropout=REMOVE),
        *(plain_heads() if family in ("llama", "qwen2") else []),
        *[vary(f"{who}'s name", "architectures", OTHER_FAMILY, architectures=[name]) for who, name in others.items()
          if not name.lower().startswith(family)],
    ]


def plain_heads():
    return [
        vary("head_dim said", head_dim=12),
        vary("null head_dim", reason="Qwen2 of transformers 5 fails on null, Llama takes it", head_dim=None),
        vary("another head_dim", "head_dim", head_dim=6),
    ]


def llama():
    return of_all("llama", "LlamaForCausalLM", "LlamaModel") + ropes(12, 64) + of_llama_likes("llama") + [
        *nulls(["attention_bias", "mlp_bias"], ["attention_dropout", "pretraining_tp"]),
        vary("LLaMA's first name", architectures=["LLaMAForCausalLM"]),
        vary("pretraining_tp = 2", pretraining_tp=2),
        vary("pretraining_tp = 4", pretraining_tp=4),
        vary("no key heads, which means as many as heads", "k_proj", num_key_value_heads=REMOVE),
        vary("no pretraining_tp", pretraining_tp=REMOVE),
        vary("biases of attention", "attention_bias", attention_bias=True),
        vary("biases of the mlp", "mlp_bias", mlp_bias=True),
        vary("no biases said", attention_bias=REMOVE, mlp_bias=REMOVE),
        vary("a window, which it has not", sliding_window=4, use_sliding_window=True),
        vary("nothing of tied", tie_word_embeddings=REMOVE),
        vary("tied with another head", "tie_word_embeddings",
             "transformers 5 unties what differs, 4 takes the table for the head", tie_word_embeddings=True),
        vary("tied without the head", tensors="without the head", tie_word_embeddings=True),
        vary("tied with the head alone", tensors="the head alone", tie_word_embeddings=True),
        vary("a part of the head with llama3", "partial_rotary_factor", partial_rotary_factor=0.5),
    ]


def windows():
    """Of families some of whose layers may have a window."""
    def window(name, refused=None, reason=None, **keys):
        return vary(name, refused, reason, **{"layer_types": REMOVE, "use_sliding_window": True,
                                              "max_window_layers": 0, **keys})

    return [
        window("a window as long as the sequence", sliding_window=40),
        window("a window that is shorter", "sliding_window", sliding_window=39),
        window("a short window", "sliding_window", sliding_window=4),
        window("a window of some layers", "sliding_window", sliding_window=4, max_window_layers=1),
        window("a window of no layer", sliding_window=4, max_window_layers=2),
        window("a window of no layer by default", sliding_window=4, max_window_layers=REMOVE),
        window("the window by default", sliding_window=REMOVE),
        window("a null window", sliding_window=None),
        window("a window that is not used", use_sliding_window=False, sliding_window=4),
        window("a window that nothing says is used", use_sliding_window=REMOVE, sliding_window=4),
        vary("no layer_types", layer_types=REMOVE),
        vary("null layer_types", layer_types=None),
        vary("layer_types of before", layer_types=["attention", "attention"]),
        vary("a window in layer_types", "sliding_window", layer_types=["full_attention", "sliding_attention"],
             use_sliding_window=True, sliding_window=4),
        vary("a long window in layer_types", layer_types=["full_attention", "sliding_attention"],
             use_sliding_window=True, sliding_window=64),
        vary("layer_types beat the window", layer_types=["full_attention", "full_attention"], use_sliding_window=True,
             sliding_window=4, max_window_layers=0),
        vary("no window for layer_types", "layer_types", layer_types=["full_attention", "sliding_attention"]),
        vary("too few layer_types", "layer_types", layer_types=["full_attention"]),
        vary("another kind of layer", "layer_types", layer_types=["full_attention", "linear_attention"]),
    ]


def tied_by_choice():
    """Of cases whose head is tied, where a missing key means that it is not."""
    return [
        vary("untied by default", "lm_head.weight", tie_word_embeddings=REMOVE),
        vary("untied with a head", tensors="with the head", tie_word_embeddings=False),
        vary("tied with a head that is equal", tensors="with the head"),
        vary("tied with the head alone", tensors="the head alone"),
    ]


def qwen2():
    return of_all("qwen2", "Qwen2ForCausalLM", "Qwen2Model") + ropes(12, 64) + of_llama_likes("qwen2") + [
        *nulls(["attention_dropout", "use_sliding_window", "max_window_layers"], []),
        vary("no key heads, which means 32", "num_key_value_heads", num_key_value_heads=REMOVE),
        *windows(),
        vary("multimodal RoPE", use_mrope=True),
        vary("a bias that it always has", attention_bias=False),
        *tied_by_choice(),
    ]


def qwen3():
    return of_all("qwen3", "Qwen3ForCausalLM", "Qwen3Model") + ropes(34, 64) + of_llama_likes("qwen3") + [
        *nulls(["attention_dropout", "use_sliding_window", "max_window_layers", "attention_bias"], []),
        vary("no key heads, which means 32", "num_key_value_heads", num_key_value_heads=REMOVE),
        vary("no head_dim, which means 128", "head_dim", head_dim=REMOVE),
        vary("null head_dim", "head_dim", head_dim=None),
        vary("another head_dim", "q_proj", head_dim=12),
        vary("an odd head_dim", "head_dim", head_dim=15),
        vary("no channels in a head", "head_dim", head_dim=0),
        vary("head_dim with a point", reason=STRICT, head_dim=34.0),
        *windows(),
        vary("biases of attention", "attention_bias", attention_bias=True),
        vary("no biases said", attention_bias=REMOVE),
        *tied_by_choice(),
    ]


def mistral():
    return of_all("mistral", "MistralForCausalLM", "MistralModel") + ropes(26, 64) + of_llama_likes("mistral") + [
        *nulls(["attention_dropout"], ["sliding_window", "layer_types"]),
        vary("no key heads, which means 8", "num_key_value_heads", num_key_value_heads=REMOVE),
        vary("no head_dim, which means a part of the width", "q_proj", head_dim=REMOVE),
        vary("null head_dim", "q_proj", head_dim=None),
        vary("another head_dim", "q_proj", head_dim=12),
        vary("head_dim with a point", reason=STRICT, head_dim=26.0),
        vary("a window as long as the sequence", sliding_window=40),
        vary("a window that is shorter", "sliding_window", sliding_window=39),
        vary("a short window", "sliding_window", sliding_window=4),
        vary("a window of nothing", "sliding_window", sliding_window=0),
        vary("the window by default", sliding_window=REMOVE),
        vary("a window that Qwen's switch does not turn off", "sliding_window", sliding_window=4,
             use_sliding_window=False),
        vary("layer_types beat the window", sliding_window=4, layer_types=["full_attention", "full_attention"]),
        vary("a window in layer_types", "sliding_window", sliding_window=4,
             layer_types=["full_attention", "sliding_attention"]),
        vary("a long window in layer_types", layer_types=["full_attention", "sliding_attention"]),
        vary("no window for layer_types", "layer_types", sliding_window=None,
             layer_types=["full_attention", "sliding_attention"]),
        vary("null layer_types beside a window", "sliding_window", sliding_window=4, layer_types=None),
        vary("too few layer_types", "layer_types", layer_types=["full_attention"]),
        vary("biases, which it has not", attention_bias=True, mlp_bias=True),
        vary("nothing of tied", tie_word_embeddings=REMOVE),
        vary("tied without the head", tensors="without the head", tie_word_embeddings=True),
        vary("tied with the head alone", tensors="the head alone", tie_word_embeddings=True),
    ]


FAMILIES = {"gpt2": gpt2, "llama": llama, "qwen2": qwen2, "qwen3": qwen3, "mistral": mistral}
