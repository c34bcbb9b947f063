from .inspect_command import inspect as inspect
