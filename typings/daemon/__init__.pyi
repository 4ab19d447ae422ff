from .daemon import DaemonContext as DaemonContext

__all__ = ["DaemonContext"]
