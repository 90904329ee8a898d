"""Compares the formats of the KV cache at a server whose cache holds fewer sequences than there are clients."""
