"""Measures Headwater and other engines with the same work, one after the other in turns."""
