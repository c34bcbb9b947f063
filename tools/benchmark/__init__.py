"""`gopseg benchmark`: speed and memory of modes, codec front end, encoding and attention on this machine."""
