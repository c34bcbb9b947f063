"""The readers that commands choose from by `--reader`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from ...codec import CompressedVideo, open_video, open_with_mvextractor

READERS: Mapping[str, Callable[..., CompressedVideo]] = MappingProxyType(
    {"av": open_video, "mvextractor": open_with_mvextractor}
)
"""Name to what opens a video: `open_video`, or what reads vectors and types by the independent mvextractor."""
