from .archive import Metadata, load_metadata

__all__ = ["Metadata", "load_metadata"]
