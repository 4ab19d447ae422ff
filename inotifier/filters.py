"""Which paths below an entry count: globs, regular expressions, and directories left out."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache

from inotifier.events import UNASKED, Event, printable
from inotifier.locations import scheme_of

logger = logging.getLogger(__name__)

JUNK = (
    ".DS_Store",
    "._*",
    ".AppleDouble",
    "**/.AppleDouble/**",
    "@eaDir",
    "**/@eaDir/**",
    "Thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    ".nfs*",
    ".fuse_hidden*",
    ".~lock.*#",
    "~$*",
    ".sw?",
    ".*.sw?",
    "4913",
    "*~",
    ".#*",
    "#*#",
    ".goutputstream-*",
    "*___jb_tmp___",
    "*___jb_old___",
)
"""For `ignore_patterns`: what systems, office programs and editors leave beside files."""

VCS = (".git", ".hg", ".svn", "CVS", ".bzr", "_darcs", ".jj", ".pijul", ".sl")
"""For `ignore_directories`: where version control systems keep their own files."""

_REMEMBERED = 4096
"""Names, and directories, of which it is kept what became of them: those that came last."""

_WANTED, _IGNORED, _HIDDEN = 1, 2, 4  # what a directory says; an IntFlag would cost more than all

_Match = Callable[[str], object]


class PathFilter:
    """Tells which events an entry lets through, by their paths.

    What any `ignore_` option matches is out. With `patterns` or `regexes`, a path must match at
    least one of all of them; without, every other path is in. Directories are judged by the same
    rules as files: with `patterns=["*.csv"]` no event of a directory passes unless its name ends
    in .csv, and an ignored pattern that a directory matches hides its own events, not those of
    what is in it. `ignore_directories` is for that. No pattern keeps directories from being
    entered.

    A glob without a slash is held against the base name, at any depth; one with a slash against
    the path relative to `root`; one that begins with a slash against the whole path. `*` stands
    for any characters but a slash, `?`, `[abc]`, `[a-c]` and `[!abc]` for one, `**` for any with
    slashes; `**/` stands for any number of directories, none among them, and before a name
    changes nothing. Names that begin with a dot are like others. What begins with `^` is a
    regular expression for the base name: platypush's documentation has one among globs.

    A regular expression is searched in the whole path; its dot matches a newline, too.

    It may be used from several threads.

    Args:
        root: absolute path, or URL, of the entry.
        patterns: globs of paths that are in.
        ignore_patterns: globs of paths that are out.
        regexes: regular expressions of paths that are in.
        ignore_regexes: regular expressions of paths that are out.
        ignore_directories: globs of directories below `root` that are out with all that is in
            them.
        case_sensitive: False to take upper and lower case for the same, in globs and in regular
            expressions.
        exclude_filter: called with a path, true if it is out; a directory with all that is in
            it. pyinotify.ExcludeFilter is one. Never called with `root` itself, and not always
            again for a directory. If it raises, that is logged and the path is not out.

    Raises:
        TypeError, ValueError: an option is not what it should be; the message says which one.
    """

    def __init__(
        self,
        root: str,
        *,
        patterns: Collection[str] | None = None,
        ignore_patterns: Collection[str] | None = None,
        regexes: Collection[str] | None = None,
        ignore_regexes: Collection[str] | None = None,
        ignore_directories: Collection[str] | None = None,
        case_sensitive: bool = True,
        exclude_filter: Callable[[str], object] | None = None,
    ) -> None:
        self._root = _root(root)
        self._top = self._root if self._root == "/" else f"{self._root}/"
        flags = _flags(case_sensitive)
        self._wanted = _Globs("patterns", patterns, self._top, flags)
        self._ignored = _Globs("ignore_patterns", ignore_patterns, self._top, flags)
        self._left_out = _Globs(
            "ignore_directories", _without_end(ignore_directories), self._top, flags
        )
        self._exclude_filter = _exclude_filter(exclude_filter)
        wanted_search = _search("regexes", regexes, flags)
        ignored_search = _search("ignore_regexes", ignore_regexes, flags)
        excludes = None if exclude_filter is None else self._is_excluded
        self._at_first = 0 if self._wanted or wanted_search else _WANTED
        self._wanted_path = _any_of(self._wanted.path, wanted_search)
        self._ignored_path = _any_of(self._ignored.path, ignored_search, excludes)
        self._of_directory = None
        if self._left_out or excludes or self._wanted.inside or self._ignored.inside:
            self._of_directory = lru_cache(_REMEMBERED)(self._judge_directory)

    @property
    def is_empty(self) -> bool:
        """Whether everything passes."""
        ignores = self._ignored or self._ignored_path or self._left_out
        return self._at_first == _WANTED and not ignores

    @property
    def skips(self) -> bool:
        """Whether there may be directories that `skips_directory` is true of."""
        return self._of_directory is not None

    def lets_through(self, event: Event) -> bool:
        """Tell whether the entry gets `event`, from which a source that is out is taken.

        Of a move, what is in view counts: without its source, IN_MOVED_TO is an arrival; without
        its target, IN_MOVED_FROM is all that there is. What the kernel says of no path (an
        overflow) or of the watch on `root` itself (IN_IGNORED, IN_UNMOUNT) always passes.
        """
        path = event.pathname
        if not path or (event.mask & UNASKED and path == self._root):
            return True
        if not self.passes(path, event.dir):
            return False
        source = event.src_pathname
        if source is not None and not self.passes(source, event.dir):
            event.src_pathname = None
        return True

    def passes(self, path: str, is_dir: bool) -> bool:
        """Tell whether the absolute `path` is in.

        One outside `root`, which the source of a move can be, is relative to nothing: no
        relative glob matches it, and `ignore_directories` does not concern it.
        """
        directory, _, name = path.rpartition("/")
        if self._ignored.name and self._ignored.name(name):
            return False
        verdict = self._at_first
        if self._of_directory:
            verdict |= self._of_directory(directory)
            if verdict & _IGNORED or (is_dir and self._of_directory(path) & _HIDDEN):
                return False
        if self._ignored_path and self._ignored_path(path):
            return False
        return bool(
            verdict & _WANTED
            or (self._wanted.name and self._wanted.name(name))
            or (self._wanted_path and self._wanted_path(path))
        )

    def skips_directory(self, path: str) -> bool:
        """Tell whether nothing below the directory `path` is in, so that it needs no watch.

        It is or lies in one that `ignore_directories` or `exclude_filter` leaves out, or an
        ignored pattern such as "cache/**" matches all that is in it. Never true of `root`.
        """
        if self._of_directory is None or not self._is_below(path):
            return False
        return bool(self._of_directory(path) & _IGNORED)

    def _judge_directory(self, directory: str) -> int:
        """Return what `directory` alone says of the paths right in it, and whether it is hidden."""
        if self._is_below(directory) and self._is_hidden(directory):
            return _HIDDEN | _IGNORED
        inside = f"{directory}/"
        if self._ignored.inside and self._ignored.inside(inside):
            return _IGNORED
        return _WANTED if self._wanted.inside and self._wanted.inside(inside) else 0

    def _is_below(self, path: str) -> bool:
        return path.startswith(self._top) and path != self._top

    def _is_hidden(self, directory: str) -> bool:
        """Tell whether `directory`, or one that it lies in, is left out."""
        ends = (found.start() for found in _END_OF_PART.finditer(directory, len(self._top)))
        uppers = (directory[:end] for end in ends)
        return any(self._left_out.match(upper) or self._is_excluded(upper) for upper in uppers)

    def _is_excluded(self, path: str) -> bool:
        if self._exclude_filter is None or path == self._root:
            return False
        try:
            return bool(self._exclude_filter(path))
        except Exception:
            logger.exception("exclude_filter failed for %s, which is kept", printable(path))
            return False


class _Globs:
    """The globs of one option, apart by how much of a path decides them.

    Attributes:
        name: takes a base name, and remembers.
        inside: takes a directory with a slash behind it, for what is in it: "cache/**".
        path: takes a whole path.
    """

    def __init__(self, option: str, globs: object, top: str, flags: int) -> None:
        names, insides, paths = [], [], defaultdict(list)
        for given in _texts(option, globs):
            if given.startswith("^"):
                names.append(_checked(option, given, given, flags))
                continue
            glob = _shortened(option, given)
            regex = _checked(option, given, rf"(?:{_translated(glob, top)})\Z", flags)
            head, slash, last = glob.rpartition("/")
            if not slash:
                names.append(regex)
            elif last == "**":
                insides.append(regex)
            else:  # what begins alike is looked for once
                paths[_translated(head + slash, top)].append(_translated(last, top))
        joined = [rf"{head}(?:{'|'.join(lasts)})\Z" for head, lasts in paths.items()]
        name = _any_of(*(pattern.match for pattern in _joined(names, flags)))
        self.name = lru_cache(_REMEMBERED)(name) if name else None
        self.inside = _any_of(*(pattern.match for pattern in _joined(insides, flags)))
        self.path = _any_of(*(pattern.match for pattern in _joined(joined, flags)))

    def __bool__(self) -> bool:
        return bool(self.name or self.inside or self.path)

    def match(self, path: str) -> bool:
        """Tell whether any of them matches `path`."""
        directory, slash, name = path.rpartition("/")
        return bool(
            (self.name and self.name(name))
            or (self.inside and self.inside(directory + slash))
            or (self.path and self.path(path))
        )


_FLAGS_INSIDE = re.compile(r"\(\?[a-zA-Z]+\)")


def _any_of(*matches: _Match | None) -> _Match | None:
    """Return what matches if any of `matches` does, None if there is none."""
    given = [match for match in matches if match]
    if len(given) < 2:
        return given[0] if given else None
    return lambda text: any(match(text) for match in given)


def _joined(regexes: Sequence[str], flags: int) -> list[re.Pattern[str]]:
    """Return `regexes`, as one as far as they can be: it takes a third of the time."""
    apart = [re.compile(regex, flags) for regex in regexes]
    # Numbers and names of groups would clash, and flags may stand at the start only, for all.
    alike = [one for one in apart if not one.groups and not _FLAGS_INSIDE.match(one.pattern)]
    joined = re.compile("|".join(f"(?:{one.pattern})" for one in alike), flags)
    return [*([joined] if alike else []), *(one for one in apart if one not in alike)]


# Globs.

_END_OF_PART = re.compile(r"/|\Z")
_PIECE = re.compile(
    r"""
    (?<![^/])\*\*/          # directories
    | \*\*?
    | \[!?+[^/][^]/]*\]     # as in fnmatch, "]" may come first
    | .
    """,
    re.VERBOSE | re.DOTALL,
)
_WILD = {"*": "[^/]*", "**": ".*", "**/": "(?:.*/)?"}
_FIRST = {"*": "(?>[^/]*?", "**": "(?>.*?", "**/": "(?>(?:.*?/)??"}


def _translated(glob: str, top: str) -> str:
    """Return a regular expression for what `glob` is held against.

    Where another wildcard follows that reaches at least as far, the first place that fits is as
    good as any later one. To try no other (an atomic group) keeps hostile names from taking time
    that grows with the power of the number of wildcards.
    """
    parts = [re.escape(top)] if "/" in glob and not glob.startswith("/") else []
    within = across = -1  # where in `parts` the last wildcard of each reach stands
    kind = ""
    for piece in _PIECE.findall(re.sub(r"\*{3,}", "**", glob)):
        if piece not in _WILD:
            parts.append(_one_character(piece))
            continue
        if within >= 0:
            parts[within] = _FIRST["*"]
            parts.append(")")
        if piece == "*":
            within = len(parts)
        else:
            if across >= 0:
                parts[across] = _FIRST[kind]
                parts.append(")")
            within, across, kind = -1, len(parts), piece
        parts.append(_WILD[piece])
    return "".join(parts)


def _one_character(piece: str) -> str:
    if piece == "?":
        return "[^/]"
    if len(piece) == 1:
        return re.escape(piece)
    negation = "^" if piece[1] == "!" else ""
    chars = re.sub(r"(.)-(.)|.", _escaped, piece[1 + len(negation) : -1], flags=re.DOTALL)
    return f"(?!/)[{negation}{chars}]"


def _escaped(found: re.Match[str]) -> str:
    """Return a range or a character of a set, fit for a regular expression."""
    return "-".join(map(re.escape, found.groups() if found[1] else found[0]))


# Options.


def _root(value: str) -> str:
    if not value.startswith("/") and (not value or scheme_of(value) == "file"):
        raise ValueError(f"root is {value!r}; it should be an absolute path or a URL")
    return value.rstrip("/") or "/"


def _flags(case_sensitive: object) -> int:
    if not isinstance(case_sensitive, bool):
        raise TypeError(f"case_sensitive is {case_sensitive!r}; it should be True or False")
    return re.DOTALL if case_sensitive else re.DOTALL | re.IGNORECASE


def _exclude_filter(value: Callable[[str], object] | None) -> Callable[[str], object] | None:
    if value is not None and not callable(value):
        raise TypeError(
            f"exclude_filter is {value!r}; it should be callable with a path, "
            "as pyinotify.ExcludeFilter([...]) is"
        )
    return value


def _texts(option: str, value: object) -> tuple[str, ...]:
    """Return the texts of `value`; none if it is None.

    No generator will do: settings are read more than once, and the second time it would be empty.
    """
    if value is None:
        return ()
    if isinstance(value, (str, bytes, bytearray, Mapping)) or not isinstance(value, Collection):
        raise TypeError(f"{option} is {value!r}; it should be a list of texts")
    for one in value:
        if not isinstance(one, str):
            raise TypeError(f"{option} holds {one!r}, which is not a text")
        if not one:
            raise ValueError(f"{option} holds an empty text; leave it out")
    return tuple(value)


def _without_end(directories: object) -> object:
    """Return `directories` without the slash that a name of a directory may end in."""
    texts = _texts("ignore_directories", directories)
    return [one.removesuffix("/") or one for one in texts]


def _shortened(option: str, glob: str) -> str:
    """Return `glob` without "**/" before a name, which changes nothing."""
    if {"", ".", ".."} & set(glob.removeprefix("/").split("/")):
        raise ValueError(
            f"{option} holds {glob!r}, which no path matches: one part of it is empty, '.' or '..'"
        )
    name = glob.removeprefix("**/")
    return glob if "/" in name or "**" in name else name


def _search(option: str, value: object, flags: int) -> _Match | None:
    regexes = [_checked(option, one, one, flags) for one in _texts(option, value)]
    return _any_of(*(pattern.search for pattern in _joined(regexes, flags)))


def _checked(option: str, given: str, regex: str, flags: int) -> str:
    try:
        re.compile(regex, flags)
    except re.error as exc:
        kind = "regular expression" if regex == given else "glob"
        raise ValueError(f"{option} holds {given!r}, which is no {kind}: {exc.msg}") from exc
    return regex
