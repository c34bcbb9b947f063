"""Tests run networks in torch unless they ask for another runtime: its results are compared bit by bit."""

import os

os.environ["GOPSEG_RUNTIME"] = "torch"
