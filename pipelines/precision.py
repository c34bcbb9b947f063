"""The precisions at which networks run; importing this takes no time."""

from __future__ import annotations

from typing import Literal

Precision = Literal["auto", "fp32", "bf16", "fp16", "int8"]
"""`auto` takes the fastest of fp32, the device's half precision, and, on OpenVINO, a quantised graph beside the
weights (int8)."""
