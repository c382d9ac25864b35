"""The command ``parsum bench``: how fast this machine reads, NumPy, its peers and parsum reduce."""
