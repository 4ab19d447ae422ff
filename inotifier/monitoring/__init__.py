"""For whoever operates the daemon: the status page, its health, and metrics for Prometheus."""
