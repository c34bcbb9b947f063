"""The encoders that `preprocess encode --engine ffmpeg` can use."""

ENCODERS = ("libx264", "h264_nvenc", "h264_vaapi", "h264_qsv")
"""FFmpeg's names; the first is the default, the others are hardware's."""
