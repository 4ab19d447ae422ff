"""The watched directories as a tree: small records, linked so that a sub-tree can move at once."""

from __future__ import annotations

from collections.abc import Iterator

_PAGE = 128


class Node:
    """A directory or file that has a watch of the kernel.

    There may be hundreds of thousands: no path (it follows from the names upwards), no dict of
    children (siblings are a linked list).

    Attributes:
        wd: watch descriptor.
        parent: the directory that holds it, if that is watched too.
        name: base name below `parent`.
    """

    __slots__ = ("first", "following", "name", "parent", "previous", "wd")

    def __init__(self, wd: int, name: bytes) -> None:
        self.wd = wd
        self.name = name
        self.parent: Node | None = None
        self.first: Node | None = None
        self.following: Node | None = None
        self.previous: Node | None = None

    def children(self) -> list[Node]:
        """Return the nodes right below."""
        found = []
        child = self.first
        while child is not None:
            found.append(child)
            child = child.following
        return found


class Descriptors:
    """Nodes by watch descriptor.

    The kernel counts descriptors upwards, so those in use lie close together: pages of them
    take a fifth of the room of a dict's entries.
    """

    def __init__(self) -> None:
        self._pages: dict[int, list[Node | None]] = {}
        self._used: dict[int, int] = {}

    def get(self, wd: int) -> Node | None:
        """Return the node of `wd`, None if there is none."""
        page = self._pages.get(wd // _PAGE)
        return page[wd % _PAGE] if page is not None else None

    def __getitem__(self, wd: int) -> Node:
        node = self.get(wd)
        if node is None:
            raise KeyError(wd)
        return node

    def __contains__(self, wd: int) -> bool:
        return self.get(wd) is not None

    def __len__(self) -> int:
        return sum(self._used.values())

    def __iter__(self) -> Iterator[int]:
        return (node.wd for node in self.values())

    def values(self) -> Iterator[Node]:
        """Yield all nodes."""
        for page in list(self._pages.values()):
            yield from (node for node in page if node is not None)

    def add(self, node: Node) -> None:
        """Take in `node`, whose descriptor is not in use."""
        number, slot = divmod(node.wd, _PAGE)
        page = self._pages.get(number)
        if page is None:
            page = self._pages[number] = [None] * _PAGE
            self._used[number] = 0
        page[slot] = node
        self._used[number] += 1

    def remove(self, node: Node) -> None:
        """Take out `node`."""
        number, slot = divmod(node.wd, _PAGE)
        self._pages[number][slot] = None
        self._used[number] -= 1
        if not self._used[number]:
            del self._pages[number], self._used[number]


class Tree:
    """All nodes."""

    def __init__(self) -> None:
        self.nodes = Descriptors()

    def add(self, wd: int, name: bytes = b"", parent: Node | None = None) -> Node:
        """Add a node below `parent`, or a root."""
        node = Node(wd, name)
        self.nodes.add(node)
        if parent is not None:
            _link(node, parent)
        return node

    def move(self, node: Node, parent: Node | None, name: bytes) -> None:
        """Put `node`, with all below it, below another parent or under another name."""
        _unlink(node)
        node.name = name
        if parent is not None:
            _link(node, parent)

    def remove(self, node: Node) -> None:
        """Remove `node`; what is below it stays, each as a root."""
        while node.first is not None:
            _unlink(node.first)
        _unlink(node)
        self.nodes.remove(node)

    def remove_all(self, node: Node) -> list[Node]:
        """Remove `node` and all below it; return them."""
        _unlink(node)
        removed = list(below(node))
        for one in removed:
            self.nodes.remove(one)
        return removed


def below(node: Node) -> Iterator[Node]:
    """Yield `node` and all below it, parents first."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        yield one
        waiting += one.children()


def ancestors(node: Node) -> Iterator[Node]:
    """Yield `node` and all above it."""
    here: Node | None = node
    while here is not None:
        yield here
        here = here.parent


def _link(node: Node, parent: Node) -> None:
    first = parent.first
    node.parent = parent
    node.following = first
    if first is not None:
        first.previous = node
    parent.first = node


def _unlink(node: Node) -> None:
    parent, previous, following = node.parent, node.previous, node.following
    if previous is not None:
        previous.following = following
    elif parent is not None:
        parent.first = following
    if following is not None:
        following.previous = previous
    node.parent = node.previous = node.following = None
