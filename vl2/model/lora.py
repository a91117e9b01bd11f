"""Low-rank adapters through PEFT: put into a model, stored, read, folded into its weights.

    attach: nn.Linear -> lora.Linear(base_layer, lora_A, lora_B)      RoutedExperts, PerHead -> lora.ParamWrapper
    write_adapter <-> read_adapter: adapter_config.json, adapter_model.safetensors, as PEFT stores and loads them
    fold: every weight += scale * B A, and the plain modules are back

A stack of experts gets a pair of matrices of `rank` for each of them, which multiply tokens beside it: PEFT would add
their product to the whole stack in every step, which takes longer than the experts do. The trap: only what is called as
a module is adapted. Weights that other code reads (vision.mlp.fc1, router, lm_head) would silently stay as they are and
are no targets.
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vl2.kernels.grouped_mm import in_order
from vl2.model.attention import PerHead
from vl2.model.moe import LowRank
from vl2.model.vl2 import VL2
from vl2.model.weights import load, require_new, save_beside

ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_MODEL = "base_model.model."  # what PEFT puts before every name in a file
_NAME = "default"  # of the adapter, inside the model
_ATTENTION = r"self_attn\.(?:[qkvo]_proj|q_a_proj|q_b_proj|kv_a_proj_with_mqa)"
_SWIGLU = r"(?:gate|up|down)_proj"
# Of every target, a pattern of modules and names of parameters.
TARGETS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "attention": (rf"language\.layers\.\d+\.{_ATTENTION}", ("self_attn.kv_b_proj.weight",)),
    "dense": (rf"language\.layers\.\d+\.mlp\.{_SWIGLU}", ()),
    "shared_experts": (rf"language\.layers\.\d+\.mlp\.shared_experts\.{_SWIGLU}", ()),
    "experts": ("", ("mlp.experts.gate_up", "mlp.experts.down")),
    "projector": (r"projector\.layers\.\d+", ()),
}


class AdapterError(ValueError):
    """An adapter that cannot be made, read or put into this model."""


def attach(
    model: VL2, *, rank: int, alpha: float, dropout: float, targets: tuple[str, ...], base: str, seed: int
) -> None:
    """Put a new adapter into a model, in place. B starts at zero, so that nothing changes until it learns.

    Args:
        alpha: the product is scaled by alpha / rank.
        dropout: of the inputs of linear layers; stacks of experts and kv_b_proj have none.
        targets: keys of TARGETS.
        base: weights that the adapter belongs to, for its file.
        seed: of A.

    Raises: AdapterError.
    """
    pattern = "|".join(TARGETS[target][0] for target in targets if TARGETS[target][0])
    linear = [name for name, layer in model.named_modules() if isinstance(layer, nn.Linear)]
    linear = [name for name in linear if re.fullmatch(pattern, name)]
    names = [name for name, _ in model.named_parameters()]
    ends = [end for target in targets for end in TARGETS[target][1] if any(n.endswith(f".{end}") for n in names)]
    if not linear and not ends:
        raise AdapterError(f"lora.targets = {list(targets)}: this model has none of them")
    config = _peft().LoraConfig(
        r=rank, lora_alpha=alpha, target_modules=linear, target_parameters=ends, base_model_name_or_path=base
    )
    with torch.random.fork_rng(devices=[]):  # the same on every rank and in every run
        torch.manual_seed(seed)
        _inject(model, config)
    if dropout:
        for layer in model.modules():
            if isinstance(layer, _peft().tuners.lora.Linear):
                cast(Any, layer).lora_dropout[_NAME] = nn.Dropout(
                    dropout
                )  # PEFT itself refuses it where a stack is adapted


def _peft() -> Any:
    try:
        import peft
    except ImportError as error:
        raise AdapterError("LoRA needs PEFT: pip install 'vl2[lora]'") from error
    return peft


def _inject(model: VL2, config: Any) -> None:
    _peft().inject_adapter_in_model(config, model, _NAME)
    for parameter in _factors(model).values():
        parameter.data = parameter.data.float()  # learns in float32 whatever the weights are stored in
    _beside_peft(model)


def _beside_peft(model: VL2) -> None:
    """Let what PEFT wraps as parameters be computed by `_experts` and `_heads`, which change no modules on the way."""
    wrapper = _peft().tuners.lora.layer.ParamWrapper
    inner = {id(layer.base_layer) for layer in model.modules() if isinstance(layer, wrapper)}
    for layer in cast("list[Any]", list(model.modules())):
        if isinstance(layer, wrapper) and id(layer) not in inner:
            layer.forward = partial(_heads if isinstance(layer.get_base_layer(), PerHead) else _experts, layer)


def _experts(outer: Any, x_TD: Tensor, weights_TA: Tensor, indices_TA: Tensor) -> Tensor:
    """RoutedExperts.forward of what lies in a wrapper, or in one inside the other if both stacks are adapted."""
    adapter, layer, experts = {}, outer, outer.get_base_layer()
    while layer is not experts:
        adapter[layer.parameter_name] = _low_rank(layer)
        layer = layer.base_layer
    return experts(x_TD, weights_TA, indices_TA, adapter)


def _low_rank(layer: Any) -> LowRank:
    """Of a stack, as PEFT lays it out; zeros fill up the rank, of which grouped products want a multiple of eight."""
    a, b, dtype = layer.lora_A[_NAME].weight, layer.lora_B[_NAME].weight, layer.get_param().dtype
    a_ERD = a.unflatten(0, (layer.num_experts, -1))
    b_EFR = b.unflatten(1, (-1, layer.num_experts)).permute(2, 0, 1) * layer.scaling[_NAME]
    missing = -a_ERD.shape[1] % 8
    return LowRank(F.pad(a_ERD, (0, 0, 0, missing)).to(dtype), in_order(F.pad(b_EFR, (0, missing)).to(dtype)))


def _heads(layer: Any, heads: int) -> Tensor:
    """PerHead.forward of what lies in a wrapper."""
    weight = layer.get_param()
    more = layer.lora_B[_NAME].weight @ layer.lora_A[_NAME].weight * layer.scaling[_NAME]
    return (weight + more.to(weight.dtype)).unflatten(0, (heads, -1))


def _factors(model: VL2) -> dict[str, nn.Parameter]:
    """A and B by their names in a file."""
    found = {name: p for name, p in model.named_parameters() if is_adapter(name)}
    return {_MODEL + name.replace(f".{_NAME}.", "."): parameter for name, parameter in found.items()}


def is_adapter(name: str) -> bool:
    """Whether a parameter of that name is an adapter's."""
    return ".lora_A." in name or ".lora_B." in name


def has_adapter(model: VL2) -> bool:
    return any(is_adapter(name) for name, _ in model.named_parameters())


def write_adapter(model: VL2, path: Path) -> None:
    """Write an adapter into an existing directory, as PEFT would. Exact: float32."""
    config: Any = cast(Any, model).peft_config[_NAME]  # PEFT puts it there
    tensors = {name: p.detach().cpu().contiguous() for name, p in _factors(model).items()}
    save_file(tensors, path / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    values = {**config.to_dict(), "inference_mode": True}
    values |= {key: sorted(values[key]) for key in ("target_modules", "target_parameters") if values[key]}
    (path / ADAPTER_CONFIG).write_text(json.dumps(values, indent=2, default=str) + "\n", encoding="utf-8")
    (path / ADAPTER_WEIGHTS).chmod((path / ADAPTER_CONFIG).stat().st_mode)


def adapter_base(path: Path) -> str:
    """What an adapter belongs to: the weights it was made from. Raises AdapterError."""
    return str(_config_values(path).get("base_model_name_or_path") or "")


def _config_values(path: Path) -> dict[str, Any]:
    file = path / ADAPTER_CONFIG
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AdapterError(f"{file}: not the configuration of an adapter ({error})") from error
    plain = {"peft_type": "LORA", "bias": "none", "use_dora": False, "modules_to_save": None}
    for key, wanted in plain.items():
        if values.get(key, wanted) != wanted:
            raise AdapterError(f"{file}: {key} = {values[key]!r}: only plain LoRA is read, with {key} = {wanted!r}")
    return values


def read_adapter(model: VL2, path: Path) -> None:
    """Fill the adapter of a model, which gets one if it has none. Raises AdapterError."""
    values = _config_values(path)
    if not has_adapter(model):
        try:
            _inject(model, _peft().LoraConfig.from_peft_type(**values))
        except (ValueError, TypeError) as error:
            raise AdapterError(f"{path}: does not fit this model ({error})") from error
    try:
        stored = load_file(path / ADAPTER_WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise AdapterError(f"{path / ADAPTER_WEIGHTS}: missing or damaged ({error})") from error
    wanted = _factors(model)
    wrong = sorted(wanted.keys() ^ stored.keys()) or [
        name for name, parameter in wanted.items() if parameter.shape != stored[name].shape
    ]
    if wrong:
        raise AdapterError(f"{path}: {len(wrong)} tensors do not fit this model, the first is {wrong[0]}")
    with torch.no_grad():
        for name, parameter in wanted.items():
            parameter.copy_(stored[name])


def fold(model: VL2) -> None:
    """Add the adapter to the weights and take it out of the model."""
    modules: dict[str, Any] = dict(model.named_modules())
    layers = {name: layer for name, layer in modules.items() if isinstance(layer, _peft().tuners.lora.LoraLayer)}
    for layer in layers.values():
        layer.merge(safe_merge=True)
    for name, layer in layers.items():
        parent, _, child = name.rpartition(".")
        if parent not in layers:  # two adapted parameters of one module lie one inside the other
            setattr(modules[parent], child, layer.get_base_layer())


def merge_checkpoint(
    source: Path, adapter: Path, out: Path, progress: Callable[[int, int], None] | None = None
) -> None:
    """Write a checkpoint with an adapter added to its weights, bfloat16; summed in float32, rounded once.

    Args:
        source: the checkpoint in official layout; its tokenizer and processor are copied.
        out: directory that does not exist yet; appears whole.
        progress: called with (tensors loaded, tensors in all).

    Raises: ConfigError, WeightsError, AdapterError.
    """
    require_new(out)
    model = load(source, "cpu", torch.float32, progress)
    read_adapter(model, adapter)
    fold(model)
    save_beside(model, source, out)
