"""Which names a statement may change the objects of, and which state of libraries.

What a statement binds is told by `bindings`.  Here are the other ways: methods, calls, items,
attributes, iterators that are drawn from, other names of the same object, `global`, decorators
that register, and the state of modules such as `random` or `os.environ`.

The analysis runs nothing.  A call of a function of the notebook changes what the function's body
changes.  A method changes its object, unless it is known not to.  A function of a library changes
nothing but the state that it is known to set.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from nbtools.exporter.bindings import arguments_of, bindings, declared_names
from nbtools.exporter.importing import immediate

__all__ = ["Effects", "Program", "states_read"]

# Methods that are called for what they show or return, and leave their object as it is.
KEEPS = frozenset({
    "abs", "add_prefix", "add_suffix", "agg", "all", "any", "apply", "argmax", "argmin", "argsort",
    "as_integer_ratio", "as_posix", "assign", "astype", "bar", "barh", "between", "bfill",
    "bit_length", "boxplot", "capitalize", "casefold", "center", "clip", "coef_", "columns",
    "compare", "conj", "contains", "copy", "corr", "corrwith", "count", "cov", "cumcount", "cummax",
    "cumprod", "cumsum", "date", "day_name", "decision_function", "decode", "describe", "diagonal",
    "diff", "difference", "display", "dot", "drop", "drop_duplicates", "dropna", "duplicated",
    "elements", "encode", "endswith", "eq", "equals", "eval", "exists", "explain", "explode",
    "ffill", "fillna", "filter", "find", "findall", "first", "flatten", "format", "fullmatch", "ge",
    "get", "get_feature_names_out", "get_group", "get_params", "groupby", "gt", "head", "hex",
    "hist", "idxmax", "idxmin", "index", "info", "inner", "interpolate", "intersection",
    "inverse_transform", "is_dir", "is_file", "is_integer", "isalnum", "isalpha", "isdigit", "isin",
    "islower", "isna", "isnull", "isoformat", "isspace", "issubset", "isupper", "item", "items",
    "iterrows", "itertuples", "join", "joinpath", "keys", "kurt", "last", "le", "line", "ljust",
    "loc", "lower", "lstrip", "lt", "map", "mask", "match", "max", "mean", "median", "melt",
    "memory_usage", "merge", "min", "mode", "most_common", "named_steps", "ngroup", "nlargest",
    "nonzero", "notna", "notnull", "nsmallest", "numerator", "nunique", "outer", "partition",
    "pct_change", "pie", "pipe", "pivot", "pivot_table", "plot", "predict", "predict_log_proba",
    "predict_proba", "prod", "quantile", "query", "rank", "read_bytes", "read_text", "reindex",
    "relative_to", "removeprefix", "removesuffix", "rename", "rename_axis", "replace", "resample",
    "reset_index", "reshape", "resolve", "rjust", "rolling", "round", "rpartition", "rsplit",
    "rstrip", "sample", "savefig", "scatter", "score", "score_samples", "search", "select_dtypes",
    "set_index", "shift", "show", "size", "skew", "slice", "sort_index", "sort_values", "split",
    "splitlines", "squeeze", "stack", "startswith", "std", "strftime", "strip", "sub", "subn",
    "sum", "summary", "swapaxes", "symmetric_difference", "tail", "timestamp", "title", "to_csv",
    "to_datetime", "to_dict", "to_excel", "to_frame", "to_html", "to_json", "to_latex", "to_list",
    "to_markdown", "to_numpy", "to_parquet", "to_period", "to_pickle", "to_sql", "to_string",
    "toarray", "todense", "tolist", "total_seconds", "trace", "transform", "translate", "transpose",
    "trunc", "tz_convert", "tz_localize", "union", "unique", "unstack", "upper", "value_counts",
    "values", "var", "where", "with_name", "with_suffix", "zfill",
})  # fmt: skip
# With `inplace=True` they change it after all.
_IN_PLACE = frozenset({"inplace", "copy", "out"})
# Functions that change their first argument, by their last name.
_CHANGE_FIRST = frozenset({
    "copyto", "delattr", "fill_diagonal", "heapify", "heappop", "heappush", "heappushpop",
    "heapreplace", "insort", "insort_left", "insort_right", "next", "place", "put",
    "put_along_axis", "putmask", "setattr", "shuffle",
})  # fmt: skip
# What hands out one item after the other, and is used up by that.
_ITERATORS = frozenset({
    "DictReader", "chain", "count", "cycle", "enumerate", "filter", "finditer", "islice", "iter",
    "map", "open", "reader", "reversed", "zip",
})  # fmt: skip
_DRAINS = frozenset({
    "all", "any", "deque", "dict", "enumerate", "filter", "frozenset", "list", "map", "max", "min",
    "reversed", "set", "sorted", "sum", "tuple", "zip",
})  # fmt: skip
_HOLDS_ARGUMENTS = frozenset({
    "dict", "enumerate", "filter", "iter", "list", "map", "partial", "zip",
})  # fmt: skip
# What calls the functions that it is given.
_CALLS = frozenset({
    "agg", "aggregate", "apply", "applymap", "filter", "map", "max", "min", "pipe", "reduce",
    "sort", "sorted", "submit", "transform", "Process", "Thread",
})  # fmt: skip
# What these return is part of the object, or the object itself.
_HANDS_OUT = frozenset({
    "add_subplot", "fit", "get", "items", "iterrows", "partial_fit", "ravel", "reshape",
    "setdefault", "squeeze", "swapaxes", "transpose", "values", "view",
})  # fmt: skip
# Functions and attributes that set what later calls of their module read, by their last name.
_SETS_STATE = frozenset({
    "append", "basicConfig", "captureWarnings", "chdir", "config", "dictConfig", "disable",
    "extend", "field_size_limit", "filterwarnings", "getLogger", "getcontext", "insert",
    "manual_seed", "option_context", "putenv", "rc", "register", "register_dataframe_accessor",
    "register_matplotlib_converters", "reset_option", "resetwarnings", "seed", "set_config",
    "set_default_dtype", "set_error", "set_option", "set_palette", "set_printoptions", "set_seed",
    "set_start_method", "set_state", "set_style", "set_theme", "setcontext", "setdefault", "seterr",
    "setlocale", "setrecursionlimit", "setstate", "simplefilter", "switch_backend", "unsetenv",
    "update", "use",
})  # fmt: skip
_SEEDS = frozenset({"seed", "setstate", "set_state", "manual_seed", "set_seed"})
# Libraries that draw from a generator which another module keeps.
_DRAWS = {
    "numpy.random": ("numpy", "pandas", "scipy", "seaborn", "sklearn", "statsmodels"),
    "random": ("random",),
    "torch": ("torch", "torchvision"),
}
# Libraries whose functions change what they are given only where `_CHANGE_FIRST` says so.
_KNOWN = frozenset(sys.stdlib_module_names) | {
    "IPython", "altair", "bokeh", "bs4", "catboost", "cv2", "geopandas", "holoviews", "ipywidgets",
    "joblib", "keras", "lightgbm", "lxml", "matplotlib", "nbtools", "networkx", "nltk", "numba",
    "numpy", "nuxt_queue", "openpyxl", "pandas", "PIL", "plotly", "polars", "pyarrow", "pydantic",
    "pylab", "requests", "scipy", "seaborn", "skimage", "sklearn", "spacy", "sqlalchemy",
    "statsmodels", "sympy", "tensorflow", "torch", "torchvision", "tqdm", "transformers", "xarray",
    "xgboost", "yaml",
}  # fmt: skip


_ROUNDS = 8  # how deep calls of the notebook's own functions are followed


class Effects(NamedTuple):
    """What a statement may change.

    Attributes:
        names: The names whose objects it may change.
        unsure: The names that it hands to functions of libraries which nothing is known of.
        states: The modules whose state it may change, such as `numpy.random` or `os`.
        draws: The generators of modules that it draws from.
    """

    names: frozenset[str] = frozenset()
    unsure: frozenset[str] = frozenset()
    states: frozenset[str] = frozenset()
    draws: frozenset[str] = frozenset()


class _Function(NamedTuple):
    """What calling a function of the notebook may change: parameters by place, and names."""

    parameters: tuple[str, ...]
    changed: frozenset[str]
    effects: Effects
    is_generator: bool


class _Definition(NamedTuple):
    name: str
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    is_method: bool = False
    makes_object: bool = False


class Program:
    """The statements of a notebook in the order of its cells, learnt one after the other."""

    def __init__(self, statements: Iterable[ast.stmt]) -> None:
        self.imports: dict[str, str] = {}
        self._functions: dict[str, _Function] = {}
        self._methods: dict[str, list[_Function]] = {}
        self._values: set[str] = set()
        self._iterators: set[str] = set()
        self._same: dict[str, set[str]] = {}
        body = list(statements)
        nodes = list(immediate(body))
        for node in nodes:
            if isinstance(node, ast.Import | ast.ImportFrom):
                self._learn_import(node)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                self._values.add(node.id)
        definitions = [each for node in nodes for each in _definitions(node)]
        self._values -= {each.name for each in definitions}
        # A function may call one that is defined later: again until nothing new is known.
        for _ in range(_ROUNDS):
            before = self._functions, self._methods
            self._learn_functions(definitions)
            if before == (self._functions, self._methods):
                break
        for node in nodes:
            if isinstance(node, ast.Assign) and self._is_iterator(node.value):
                self._iterators.update(name for name, _, _ in bindings([node]))

    def _learn_functions(self, definitions: list[_Definition]) -> None:
        functions, methods = dict[str, _Function](), dict[str, list[_Function]]()
        for each in definitions:
            function = self._function(each.node)
            if each.makes_object:  # what is made is new, so only the other parameters count
                function = function._replace(parameters=function.parameters[1:])
            if each.is_method:
                methods.setdefault(each.name, []).append(function)
            else:
                functions[each.name] = function
        self._functions, self._methods = functions, methods

    def effects(self, statements: list[ast.stmt]) -> Effects:
        """Return what statements may change; to be asked in the order in which they run."""
        found = _Finder(self, {})
        found.look(statements)
        effects = found.effects()
        names = set(effects.names)
        for name in effects.names:
            names |= self._same.get(name, set())
        for statement in statements:
            self._follow_aliases(statement)
        return effects._replace(names=frozenset(names))

    def called(self, name: str) -> _Function | None:
        """Return what calling a function of the notebook may change."""
        return self._functions.get(name)

    def methods(self, name: str) -> list[_Function]:
        """Return the methods of that name which the notebook's classes define."""
        return self._methods.get(name, [])

    def is_value(self, name: str) -> bool:
        """Return whether a name is bound to something that is not a function or a class."""
        return name in self._values

    def is_iterator(self, name: str) -> bool:
        """Return whether a name is bound to what hands out its items once."""
        return name in self._iterators

    def path_of(self, node: ast.expr) -> str:
        """Return the dotted path of what an import has bound, empty for anything else."""
        names: list[str] = []
        while isinstance(node, ast.Attribute):
            names.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id not in self.imports:
            return ""
        return ".".join([self.imports[node.id], *reversed(names)])

    def _learn_import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            if isinstance(node, ast.ImportFrom):
                path = f"{node.module or ''}.{alias.name}"
                self.imports[alias.asname or alias.name] = path
            elif alias.asname:
                self.imports[alias.asname] = alias.name
            else:
                root = alias.name.split(".")[0]
                self.imports[root] = root

    def _is_iterator(self, value: ast.expr) -> bool:
        if isinstance(value, ast.GeneratorExp):
            return True
        if not isinstance(value, ast.Call):
            return False
        name = getattr(value.func, "attr", getattr(value.func, "id", ""))
        function = self._functions.get(name)
        return name in _ITERATORS or (function is not None and function.is_generator)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> _Function:
        parameters = tuple(each.arg for each in arguments_of(node.args))
        body: list[ast.stmt] = [ast.Expr(node.body)] if isinstance(node, ast.Lambda) else node.body
        declared = declared_names(body, ast.Global)
        local = {name for name, _, _ in bindings(body)} - declared
        finder = _Finder(self, {name: name for name in parameters}, local | set(parameters))
        finder.look(body, deep=True)
        effects = finder.effects()
        changed = effects.names & set(parameters)
        outside = (effects.names - set(parameters) - local) | declared
        is_generator = any(isinstance(each, ast.Yield | ast.YieldFrom) for each in _all(body))
        return _Function(parameters, changed, effects._replace(names=outside), is_generator)

    def _shared(self, value: ast.expr) -> Iterator[str]:
        """Yield the names whose objects a value may be, or may hold."""
        if _shares(value):
            yield from _roots(value)
            return
        call = value if isinstance(value, ast.Call) else None
        name = getattr(call.func, "id", "") if call else ""
        # What a function of the notebook returns may be what it was given.
        if call and (name in self._functions or name in _HOLDS_ARGUMENTS):
            for each in [*call.args, *(keyword.value for keyword in call.keywords)]:
                yield from _roots(each)

    def _follow_aliases(self, statement: ast.stmt) -> None:
        """Note which names stand for one object from here on."""
        for node in immediate([statement]):
            if not isinstance(node, ast.Assign):
                continue
            roots = set(self._shared(node.value))
            if len(node.targets) > 1:
                roots.update(name for target in node.targets for name in _roots(target))
            for target in node.targets:
                if isinstance(target, ast.Name):
                    for other in self._same.pop(target.id, set()):
                        self._same.get(other, set()).discard(target.id)
                for name in _roots(target):
                    for root in roots - {name}:
                        group = {name, root} | self._same.get(root, set())
                        for each in group:
                            self._same.setdefault(each, set()).update(group - {each})


class _Finder:
    """Looks through the statements of one place for what they change.

    Args:
        program: What is known of the notebook.
        local: The names of parameters; what is changed through them is reported by their name.
        hidden: Names that are bound in the place itself.
    """

    def __init__(self, program: Program, local: dict[str, str], hidden: Iterable[str] = ()) -> None:
        self.program = program
        self.hidden = frozenset(hidden)
        self.sources: dict[str, set[str]] = {name: {name} for name in local}
        self.names: set[str] = set()
        self.unsure: set[str] = set()
        self.states: set[str] = set()
        self.draws: set[str] = set()

    def effects(self) -> Effects:
        return Effects(
            frozenset(self.names),
            frozenset(self.unsure - self.names),
            frozenset(self.states),
            frozenset(self.draws),
        )

    def look(self, statements: list[ast.stmt], *, deep: bool = False) -> None:
        nodes = list(_all(statements) if deep else immediate(statements))
        for node in nodes:  # first what the names of the place stand for
            self._learn(node)
        for node in nodes:
            self._judge(node)

    def _learn(self, node: ast.AST) -> None:
        if isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            self._stand_for(node.target, _roots(node.iter))
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            self._stand_for(node.optional_vars, _roots(node.context_expr))
        elif isinstance(node, ast.Assign) and self.hidden and _shares(node.value):
            for target in node.targets:
                self._stand_for(target, _roots(node.value))

    def _stand_for(self, target: ast.expr, roots: Iterable[str]) -> None:
        found = set(roots)
        for name in {node.id for node in ast.walk(target) if isinstance(node, ast.Name)}:
            self.sources.setdefault(name, set()).update(found)

    def _change(self, node: ast.expr) -> None:
        for root in _roots(node):
            self._change_name(root)

    def _change_name(self, name: str) -> None:
        todo, done = [name], set[str]()
        while todo:
            each = todo.pop()
            if each not in done:
                done.add(each)
                todo += self.sources.get(each, ())
        self.names |= done

    def _judge(self, node: ast.AST) -> None:
        if isinstance(node, ast.Subscript | ast.Attribute) and not isinstance(node.ctx, ast.Load):
            self._set(node)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            self._change_name(node.target.id)
        elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            self._drain(node.iter)
        elif isinstance(node, ast.withitem) and isinstance(node.context_expr, ast.Call):
            for each in node.context_expr.args:  # what is entered may write into it
                self._change(each)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for each in node.decorator_list:
                self._call(each, [], [])
        elif isinstance(node, ast.Call):
            self._call(node.func, node.args, node.keywords)

    def _set(self, node: ast.Subscript | ast.Attribute) -> None:
        path = self.program.path_of(node.value)
        if path:
            self.states.add(_state(path))
        self._change(node)

    def _drain(self, node: ast.expr) -> None:
        if isinstance(node, ast.Name) and self.program.is_iterator(node.id):
            self._change_name(node.id)

    def _call(self, function: ast.expr, args: list[ast.expr], keywords: list[ast.keyword]) -> None:
        path = self.program.path_of(function)
        name: str = getattr(function, "attr", getattr(function, "id", ""))
        if name in _CHANGE_FIRST and args:
            self._change(args[0])
        for out in [each.value for each in keywords if each.arg == "out"]:
            self._change(out)
        for each in args if name in _DRAINS else ():
            self._drain(each)
        given = [*args, *(keyword.value for keyword in keywords)]
        for each in given if name in _CALLS else ():
            self._call_later(each)
        if path:
            self._call_library(path, name, given)
        elif isinstance(function, ast.Name):
            self._call_name(function.id, args, keywords)
        elif isinstance(function, ast.Attribute):
            self._call_method(function, args, keywords)

    def _call_later(self, function: ast.expr) -> None:
        """Judge a function that is handed to what calls it."""
        if isinstance(function, ast.Attribute) and function.attr not in KEEPS:
            self._change(function.value)
        elif isinstance(function, ast.Name):
            called = self.program.called(function.id)
            if called is not None:
                self._run(called, [], [])

    def _call_library(self, path: str, name: str, given: list[ast.expr]) -> None:
        if path.partition(".")[0] not in _KNOWN:
            self.unsure.update(root for each in given for root in _roots(each))
        if name in _SETS_STATE:
            self.states.add(_state(path))
        for state, users in _DRAWS.items():
            is_user = path == state or path.startswith((f"{state}.", *(f"{u}." for u in users)))
            if is_user and name not in _SEEDS:
                self.draws.add(state)

    def _call_name(self, name: str, args: list[ast.expr], keywords: list[ast.keyword]) -> None:
        function = self.program.called(name)
        if function is not None:
            self._run(function, args, keywords)
        elif self.program.is_value(name) or name in self.sources:
            self._change_name(name)  # an object that can be called may keep something

    def _call_method(
        self, function: ast.Attribute, args: list[ast.expr], keywords: list[ast.keyword]
    ) -> None:
        methods = self.program.methods(function.attr)
        for method in methods:
            own = method.parameters[:1]
            if set(own) & method.changed:
                self._change(function.value)
            self._run(method._replace(parameters=method.parameters[1:]), args, keywords)
        in_place = any(each.arg in _IN_PLACE for each in keywords)
        if not methods and (function.attr not in KEEPS or in_place):
            self._change(function.value)

    def _run(self, function: _Function, args: list[ast.expr], keywords: list[ast.keyword]) -> None:
        given = dict(zip(function.parameters, args, strict=False))
        given |= {each.arg: each.value for each in keywords if each.arg}
        for name, value in given.items():
            if name in function.changed:
                self._change(value)
        for name in function.effects.names:
            self._change_name(name)
        self.states |= function.effects.states
        self.draws |= function.effects.draws


def _definitions(node: ast.AST) -> Iterator[_Definition]:
    """Yield the functions that a node gives a name to; making an object calls `__init__`."""
    if isinstance(node, ast.ClassDef):
        for each in node.body:
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
                yield _Definition(each.name, each, is_method=True)
                if each.name == "__init__":
                    yield _Definition(node.name, each, makes_object=True)
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield _Definition(node.name, node)
    elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda):
        for target in node.targets:
            if isinstance(target, ast.Name):
                yield _Definition(target.id, node.value)


def states_read(statements: Iterable[ast.stmt], program: Program) -> set[str]:
    """Return the modules whose state the statements may read, functions in them included."""
    found: set[str] = set()
    for node in _all(statements):
        if isinstance(node, ast.Import):
            paths = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            paths = [f"{node.module or ''}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Name | ast.Attribute):
            paths = [program.path_of(node)]
        else:
            continue
        for path in filter(None, paths):
            found.add(_state(path))
            found.update(
                state for state, users in _DRAWS.items() if path.partition(".")[0] in users
            )
    return found


def _state(path: str) -> str:
    """Return what a module's state is kept under: its package, with `numpy.random` apart."""
    if path.startswith("numpy.random"):
        return "numpy.random"
    return path.partition(".")[0]


def _roots(node: ast.expr) -> Iterator[str]:
    """Yield the names whose objects an expression reaches into: `a.b[0].c()` reaches into `a`."""
    todo: list[ast.expr] = [node]
    while todo:
        each = todo.pop()
        if isinstance(each, ast.Name):
            yield each.id
        elif isinstance(each, ast.Subscript | ast.Attribute | ast.Starred | ast.Await):
            todo.append(each.value)
        elif isinstance(each, ast.NamedExpr):
            todo += [each.target, each.value]
        elif isinstance(each, ast.Call):
            todo.append(each.func)
            if not isinstance(each.func, ast.Attribute):
                todo += each.args  # `zip(a, b)`, `enumerate(a)`: what comes out may be theirs
        elif isinstance(each, ast.Tuple | ast.List | ast.Set):
            todo += each.elts
        elif isinstance(each, ast.IfExp):
            todo += [each.body, each.orelse]
        elif isinstance(each, ast.BoolOp):
            todo += each.values


def _shares(value: ast.expr) -> bool:
    """Return whether what is assigned may be, or hold, an object that has another name already."""
    if isinstance(value, ast.Call):
        return isinstance(value.func, ast.Attribute) and value.func.attr in _HANDS_OUT
    if isinstance(value, ast.Subscript):  # a mask or a list of places makes a copy
        copies = ast.Compare | ast.BinOp | ast.UnaryOp | ast.List | ast.BoolOp
        return not isinstance(value.slice, copies)
    holders = ast.Name | ast.Attribute | ast.IfExp | ast.BoolOp | ast.Tuple | ast.List
    return isinstance(value, holders | ast.NamedExpr)


def _all(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    for node in nodes:
        yield from ast.walk(node)
