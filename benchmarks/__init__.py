"""Benchmarks, a folder a question: `python -m benchmarks QUESTION` measures one anew, `python -m benchmarks` all."""
