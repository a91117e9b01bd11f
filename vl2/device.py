"""Which device and dtype to run on, from what a person wrote."""

import torch

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class DeviceError(ValueError):
    """A device or dtype that this machine cannot run."""


def pick_device(device: str, index: int | None = None) -> torch.device:
    """The device by name.

    Args:
        device: "auto" (CUDA if present), "cpu", "cuda", "cuda:1", "mps".
        index: which CUDA device, where the name leaves it open.
    """
    try:
        name = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        place = torch.device(name, index) if name == "cuda" and index is not None else torch.device(name)
    except RuntimeError:
        raise DeviceError(f"device = {device!r}: must be auto, cpu, cuda, cuda:N or mps") from None
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not present.get(place.type, False):
        raise DeviceError(f"device = {device!r}: not available here; use --device cpu")
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise DeviceError(f"device = {device!r}: this machine has {torch.cuda.device_count()} CUDA devices")
    return place


def pick_dtype(dtype: str | torch.dtype, device: torch.device) -> torch.dtype:
    """The dtype by name; "auto" is what the device is good at."""
    if isinstance(dtype, torch.dtype):
        dtype = str(dtype).removeprefix("torch.")
    if dtype == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    if dtype not in DTYPES:
        raise DeviceError(f"dtype = {dtype!r}: must be auto, {', '.join(DTYPES)}")
    return DTYPES[dtype]
