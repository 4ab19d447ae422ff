"""The tree of watched directories, against a plain dict of parents."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from inotifier.notifier.tree import Tree, ancestors, below

NAMES = st.sampled_from([b"a", b"b", b"c"])


class Trees(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.tree = Tree()
        self.parents = {}
        self.names = {}
        self.next = 1

    def pick(self, index):
        wds = sorted(self.parents)
        return wds[index % len(wds)] if wds else None

    def under(self, wd):
        found = {wd}
        while more := {one for one, parent in self.parents.items() if parent in found} - found:
            found |= more
        return found

    # Descriptors grow; steps of a hundred reach many pages soon.
    @rule(step=st.integers(1, 100), name=NAMES, parent=st.none() | st.integers(0, 50))
    def add(self, step, name, parent):
        self.next += step
        above = None if parent is None else self.pick(parent)
        node = self.tree.nodes[above] if above is not None else None
        self.tree.add(self.next, name, node)
        self.parents[self.next], self.names[self.next] = above, name

    @precondition(lambda self: self.parents)
    @rule(what=st.integers(0, 50), to=st.none() | st.integers(0, 50), name=NAMES)
    def move(self, what, to, name):
        wd = self.pick(what)
        target = None if to is None else self.pick(to)
        if target in self.under(wd):
            return
        parent = self.tree.nodes[target] if target is not None else None
        self.tree.move(self.tree.nodes[wd], parent, name)
        self.parents[wd], self.names[wd] = target, name

    @precondition(lambda self: self.parents)
    @rule(what=st.integers(0, 50))
    def remove(self, what):
        wd = self.pick(what)
        self.tree.remove(self.tree.nodes[wd])
        del self.parents[wd]
        self.parents = {o: None if p == wd else p for o, p in self.parents.items()}

    @precondition(lambda self: self.parents)
    @rule(what=st.integers(0, 50))
    def remove_all(self, what):
        wd = self.pick(what)
        gone = self.under(wd)
        assert {node.wd for node in self.tree.remove_all(self.tree.nodes[wd])} == gone
        self.parents = {one: above for one, above in self.parents.items() if one not in gone}

    @invariant()
    def is_as_it_should_be(self):
        nodes = self.tree.nodes
        assert sorted(nodes) == sorted(self.parents)
        assert len(nodes) == len(self.parents)
        for wd, parent in self.parents.items():
            node = nodes[wd]
            assert (node.parent and node.parent.wd) == parent
            assert parent is None or node.name == self.names[wd]
            children = sorted(child.wd for child in node.children())
            assert children == sorted(o for o, above in self.parents.items() if above == wd)
            assert {one.wd for one in below(node)} == self.under(wd)
            assert all(wd in {one.wd for one in below(above)} for above in ancestors(node))

    @invariant()
    def has_nothing_else(self):
        assert self.next + 1 not in self.tree.nodes
        assert self.tree.nodes.get(self.next + 1) is None


Trees.TestCase.settings = settings(max_examples=30, deadline=None)
TestTrees = Trees.TestCase


def test_parents_come_first():
    tree = Tree()
    top = tree.add(1)
    child = tree.add(2, b"a", top)
    tree.add(3, b"b", child)
    tree.add(4, b"c", top)
    order = [node.wd for node in below(top)]
    assert order[0] == 1
    assert order.index(2) < order.index(3)
