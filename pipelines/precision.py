"""The precisions at which networks run; importing this takes no time."""

from __future__ import annotations

from typing import Literal

Precision = Literal["auto", "fp32", "bf16", "fp16"]
"""`auto` takes the faster of fp32 and the device's half precision."""
