from .client import Connection as Connection

__all__ = ["Connection"]
