"""Which events wait for which: those of one path of one entry come one after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence

from inotifier.dispatcher.handler import Handler
from inotifier.events import Event


class Question(Event):
    """Stands in the queue for events that are known only when its turn has come.

    Its mask is 0, which no event has.
    """

    def answer(self) -> Sequence[Event]:
        """Return the events to deliver in its place."""
        raise NotImplementedError


class Delivery:
    """An event that cannot simply be handled next.

    Attributes:
        handler: whose event it is.
        event: the event.
        tried: how often its handler has failed.
        chains: where it stands; it may be handled when it is the first of each.
    """

    __slots__ = ("chains", "event", "handler", "tried")

    def __init__(self, handler: Handler, event: Event) -> None:
        self.handler = handler
        self.event = event
        self.tried = 0
        self.chains: list[Chain] = []

    @property
    def is_first(self) -> bool:
        """True if nothing is before it."""
        return all(chain[0] is self for chain in self.chains)


_Key = tuple[Handler, str]


class Chain(deque[Delivery]):
    """Deliveries one after the other, those of the paths `keys`."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: list[_Key] = []


class Order:
    """The deliveries that are being handled, or wait, and what waits for them."""

    def __init__(self) -> None:
        self._chains: dict[_Key, Chain] = {}

    def __bool__(self) -> bool:
        return bool(self._chains)

    def is_free(self, handler: Handler, event: Event) -> bool:
        """Tell whether nothing is before `event`."""
        return not any(key in self._chains for key in _keys(handler, event))

    def add(self, delivery: Delivery) -> None:
        """Put `delivery` behind all others of its paths."""
        keys = _keys(delivery.handler, delivery.event)
        chains = _distinct(self._chains[key] for key in keys if key in self._chains) or [Chain()]
        self._register(chains[0], keys)
        for chain in chains:
            chain.append(delivery)
        delivery.chains = chains
        if delivery.event.dir and delivery.event.src_pathname is not None:
            self._follow(delivery)

    def replace(self, delivery: Delivery, events: Iterable[Event]) -> list[Delivery]:
        """Put `events` where `delivery`, a first one, stands; return what is first now."""
        others = [Delivery(delivery.handler, event) for event in events]
        if not others:
            return self.end(delivery)
        for other in others:
            other.chains = delivery.chains
        for chain in delivery.chains:
            chain.popleft()
            chain.extendleft(reversed(others))
        return others[:1]

    def end(self, delivery: Delivery) -> list[Delivery]:
        """Take out `delivery`, a first one; return those that are first now."""
        for chain in delivery.chains:
            chain.popleft()
            if not chain:
                for key in chain.keys:
                    del self._chains[key]
        heads = [chain[0] for chain in delivery.chains if chain]
        return [head for head in dict.fromkeys(heads) if head.is_first]

    def only_waits_for(self, deliveries: Collection[int]) -> bool:
        """Tell whether all that is first has its id() in `deliveries`."""
        heads = (chain[0] for chain in self._chains.values())
        return all(id(head) in deliveries or not head.is_first for head in heads)

    def _register(self, chain: Chain, keys: Iterable[_Key]) -> None:
        for key in keys:
            if key not in self._chains:
                self._chains[key] = chain
                chain.keys.append(key)

    def _follow(self, delivery: Delivery) -> None:
        """Let what comes for a renamed directory's content wait for what was before."""
        handler, source, target = (
            delivery.handler,
            f"{delivery.event.src_pathname}/",
            f"{delivery.event.pathname}/",
        )
        for (other, path), chain in list(self._chains.items()):
            if other is handler and path.startswith(source):
                self._register(chain, [(handler, target + path[len(source) :])])


def _keys(handler: Handler, event: Event) -> list[_Key]:
    keys = [(handler, event.pathname)]
    if event.src_pathname is not None:
        keys.append((handler, event.src_pathname))
    return keys


def _distinct(chains: Iterable[Chain]) -> list[Chain]:
    # A chain is a deque, which has no hash, and compares by what is in it.
    return list({id(chain): chain for chain in chains}.values())
