"""Generates load against a server that speaks the OpenAI API, and reports latency and throughput."""
