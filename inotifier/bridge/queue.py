"""What a consumer reads from: the contract over streams and lists."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(eq=False)
class Item:
    """A message that this consumer has in hand.

    Attributes:
        key: what the queue knows it by.
        data: what was sent; None if the message has none.
        deliveries: how often its delivery has begun, as the server knows it.
        begins: whether the one that is to come is counted already, as that of a new message is.
    """

    key: bytes
    data: bytes | None
    deliveries: int = 1
    begins: bool = True


class Queue(Protocol):
    """Where messages come from. What is in hand stays there until it is acknowledged or buried.

    Every method may raise what redis-py raises.

    Attributes:
        key: of the stream or list.
        consumer: the name of this consumer.
        trimmed: number of messages that the server removed before they were done with.
    """

    key: str
    consumer: str
    trimmed: int

    def open(self) -> None:
        """Make what is missing at the server."""

    def read(self, count: int, block: float) -> Sequence[Item]:
        """Return at most `count` new messages; wait `block` seconds for the first."""

    def take_over(self, in_hand: Collection[Item], count: int) -> Sequence[Item]:
        """Return what a dead consumer left, and what this one has besides `in_hand`."""

    def note(self, item: Item, deliveries: int) -> bool:
        """Write down how often its delivery has begun; False if it is in hand no more."""

    def keep(self, in_hand: Collection[Item]) -> None:
        """Tell the others that this consumer is alive and has these in hand."""

    def acknowledge(self, items: Collection[Item]) -> None:
        """Let go of messages that are delivered."""

    def bury(self, item: Item, error: str) -> None:
        """Move a message to the dead ones."""

    def describe(self) -> dict[str, Any]:
        """Return how many messages wait for a consumer, are in hands, and are dead."""
