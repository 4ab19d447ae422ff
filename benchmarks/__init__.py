"""The same work for this project and its peers, side by side: `python -m benchmarks`."""
