"""Reading a worker's config from its syntax tree: `read_config`."""

from __future__ import annotations

import codecs
import os
from pathlib import Path
from typing import Any

import pytest

from nuxt_queue.errors import WorkerLoadError
from nuxt_queue.registry import read_config, read_worker

SAMPLES = Path(__file__).parent.parent / "samples" / "workers"
HANDLER = "\ndef handler(job, ctx): ...\n"


def worker(folder: Path, text: str | bytes, name: str = "worker.py") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def refusal(path: Path) -> WorkerLoadError:
    with pytest.raises(WorkerLoadError) as caught:
        read_config(path)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("text", "config"),
    [
        ('config = {"queue": "q"}', {"queue": "q"}),
        ('config: dict = {"queue": "q"}', {"queue": "q"}),
        ('other = config = {"queue": "q"}', {"queue": "q"}),
        ('config = define_config({"queue": "q"})', {"queue": "q"}),
        ('config = define_queue_config({"queue": "q"})', {"queue": "q"}),
        ('import nuxt_queue as nq\nconfig = nq.define_config({"queue": "q"})', {"queue": "q"}),
        ('from nuxt_queue import define_config as d\nconfig = d({"a": 1})', {"a": 1}),
        ('config = define_config(queue="q", timeout=1)', {"queue": "q", "timeout": 1}),
        ('B = {"a": 1}\nconfig = define_config(B, b=2)', {"a": 1, "b": 2}),
        ('B = {"a": 1}\nconfig = define_config(**B)', {"a": 1}),
        ('B = {"a": 1}\nconfig = define_config(B)', {"a": 1}),
        ("config = define_config()", {}),
        ('config = {"a": 1}\nconfig = {"b": 2}', {"b": 2}),
        ("import x\nconfig = x.y\nconfig = {}", {}),
        ('config = {"a": -1.5, "b": +2, "c": None}', {"a": -1.5, "b": 2, "c": None}),
        ('config = {"a": "b" + "c", "d": [1] + [2]}', {"a": "bc", "d": [1, 2]}),
        ('config = {"d": (1, 2) + (3,)}', {"d": (1, 2, 3)}),
        ('config = {"e": 5 * 60 * 1000 - 1 + 0}', {"e": 299999}),
        ('A = {"a": 1}\nconfig = A | {"b": 2}', {"a": 1, "b": 2}),
        ('N = "x"\nI = 3\nconfig = {"a": f"{N}.done-{I}"}', {"a": "x.done-3"}),
        ('E = ["a"]\nconfig = {"e": [*E, "b"], **{"f": 1}}', {"e": ["a", "b"], "f": 1}),
        ('if __name__ == "__main__":\n    config = open("x")\nelse: pass\nconfig = {}', {}),
        ('config = {"a": 1}\nif __name__ == "__main__":\n    config = None', {"a": 1}),
        ('config = {"a": 1}\ndef f():\n    config = 3\n', {"a": 1}),
        ('config = {"a": 1}\nlist(config for config in [])', {"a": 1}),
        ('config = {"a": 1}\nprint(config)\nx = config["a"]', {"a": 1}),
        ("config = {'a': '\\d'}", {"a": "\\d"}),
    ],
)
def test_a_literal_config_is_read_in_every_way_of_writing_it(
    tmp_path: Path, text: str, config: Any
) -> None:
    assert read_config(worker(tmp_path, text)) == config


UNREADABLE: list[tuple[str, int | None, str]] = [
    ("", None, "has no config; state one at the top level"),
    ("x = 1", None, "has no config; state one at the top level"),
    ('define_config({"a": 1})', None, "has no config; state one at the top level"),
    ("config = [1]", 1, "config is a list; write a dictionary"),
    ("\nconfig = define_config('x')", 2, "config is a str; write a dictionary"),
    ("config = define_config({}, {})", 1, "define_config takes one dictionary"),
    ("import os\n\nconfig = {'a': os.environ['A']}", 3, "`os.environ['A']` has to be computed"),
    (
        "import os\nA = os.cpu_count()\n\nconfig = {'a': A}",
        2,
        "`os.cpu_count()` has to be computed",
    ),
    ("config = {'a': LATER}\nLATER = 1", 1, "`LATER` has no value above this line"),
    ("from mine import A\nconfig = {'a': A}", 1, "`A` comes from an import"),
    ("from mine import config", 1, "`config` comes from an import"),
    ("import mine.config as config", 1, "`config` comes from an import"),
    ("def config(): ...", 1, "`config` is a function or a class"),
    ("if x:\n    config = {}", 2, "`config` is set inside `if`"),
    ("try: pass\nexcept E as config: pass", 2, "`config` is set inside `try`"),
    ("config: dict", None, "has no config"),
    ("try:\n    config = {}\nexcept E: pass", 2, "`config` is set inside `try`"),
    ("for config in []: pass", 1, "`config` is set inside `for`"),
    ("config, x = {}, 1", 1, "`config` is changed by a statement"),
    ("config = {}\nconfig['a'] = 1", 2, "`config` is changed by a statement"),
    ("config = {}\nconfig['a']['b'].c = 1", 2, "`config` is changed by a statement"),
    ("config = {}\nconfig.update(a=1)", 2, "`config` is changed by a statement"),
    ("config = {}\nconfig |= {}", 2, "`config` is changed by a statement"),
    ("config = {}\ndel config", 2, "`config` is changed by a statement"),
    ("config = {}\nprint(config := {'a': 1})", 2, "`config` is changed by a statement"),
    ("E = []\nE.append('a')\nconfig = {'e': E}", 2, "`E` is changed by a statement"),
    ("config = {'a': {'b'}}", 1, "`{'b'}` is a set, not a list"),
    ("config = {'a': [x for x in 'ab']}", 1, "`[x for x in 'ab']` has to be computed"),
    ("config = {**[1]}", 1, "`[1]` has to be computed"),
    ("config = {'a': [*{}]}", 1, "`*{}` has to be computed"),
    ("config = {(1, 2): 3}", 1, "`(1, 2)` is a key and no text"),
    ("config = {'a': 'x' * 9}", 1, "`'x' * 9` has to be computed"),
    ("config = {'a': 2 ** 9}", 1, "`2 ** 9` has to be computed"),
    ("config = {'a': 'x' + 1}", 1, "`'x' + 1` has to be computed"),
    ("config = {'a': -'x'}", 1, "`-'x'` has to be computed"),
    ("N = 3.5\nconfig = {'a': f'{N:.2f}'}", 2, "`f'{N:.2f}'` has to be computed"),
    ("config = {'a': 99999999999999999 * 3}", 1, "is a number too large"),
    ("config = {\n  'a': 1,\n  'b' 2}", 3, "SyntaxError: "),
    ("await x\nconfig = {}", 1, "SyntaxError: 'await' outside function"),
    ("return 3", 1, "SyntaxError: 'return' outside function"),
    ("config = {}\n\x00", 2, "holds a null character"),
    ("config = {'a': '\\ud800'}\nx = '\ufffe'\n?", 3, "SyntaxError: "),
]


@pytest.mark.parametrize(("text", "line", "reason"), UNREADABLE)
def test_a_config_that_cannot_be_known_is_refused_with_its_line(
    tmp_path: Path, text: str, line: int | None, reason: str
) -> None:
    error = refusal(worker(tmp_path, text))
    assert reason in error.reason
    assert error.line == line
    where = f"{tmp_path / 'worker.py'}{f':{line}' if line else ''}: "
    assert str(error).startswith(where)


@pytest.mark.parametrize(
    "data",
    [
        codecs.BOM_UTF8 + 'config = {"queue": "Übung"}'.encode(),
        '# coding: latin-1\nconfig = {"queue": "Übung"}'.encode("latin-1"),
        'config = {"queue": "Übung"}\r\n'.encode(),
    ],
)
def test_a_file_is_decoded_as_python_does_it(tmp_path: Path, data: bytes) -> None:
    assert read_config(worker(tmp_path, data)) == {"queue": "Übung"}


@pytest.mark.parametrize(
    ("data", "line", "reason"),
    [
        (b"a = 1\nb = 2\nconfig = {'a': '\xfc'}", 3, "is not utf-8: "),
        (b"# coding: klingon\nconfig = {}", None, "has no usable encoding: unknown encoding"),
        (b"# coding: rot13\nconfig = {}", None, "has no usable encoding: 'rot13' is not a text"),
        (codecs.BOM_UTF16 + "config = {}".encode("utf-16-le"), None, "has no usable encoding: "),
        (b"x" * (4 * 1024 * 1024 + 1), None, "is larger than 4 MiB"),
        (b"x = " + b"-" * 50_000 + b"1", None, "is nested too deeply"),
        (b"x = " + b"1+" * 50_000 + b"1", None, "is nested too deeply"),
        (b"# coding: utf-7\nconfig = '+2AA-'", None, "is no Python: "),
        (b"config = " + b"a." * 900 + b"b", 1, "config cannot be read without running the file: "),
        (b"x = " + b"(" * 1_000 + b")" * 1_000, 1, "SyntaxError: too many nested parentheses"),
    ],
)
def test_a_file_that_is_no_readable_python_is_refused(
    tmp_path: Path, data: bytes, line: int | None, reason: str
) -> None:
    error = refusal(worker(tmp_path, data))
    assert reason in error.reason
    assert error.line == line


def test_names_doubled_again_and_again_do_not_fill_the_memory(tmp_path: Path) -> None:
    doublings = "".join(f"a{i + 1} = a{i} + a{i}\nb{i + 1} = [b{i}, b{i}]\n" for i in range(60))
    text = f"a0 = 'x'\nb0 = []\n{doublings}config = {{'a': %s}}"
    assert (
        "has to be computed" in refusal(worker(tmp_path, text % "f'{a18}{a18}{a18}{a18}'")).reason
    )
    assert "grows beyond" in refusal(worker(tmp_path, text % "a60")).reason
    assert "grows beyond" in refusal(worker(tmp_path, text % "b60")).reason


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere.py")
    assert refusal(tmp_path / "pipe.py").reason == "is not a regular file"
    assert refusal(tmp_path / "gone.py").reason == "cannot be read: No such file or directory"
    assert refusal(tmp_path).reason == "is not a regular file"


def test_nothing_of_the_file_is_run() -> None:
    """The sample would end the process of these tests."""
    assert read_config(SAMPLES / "would_wreck_the_reader.py") == {"queue": {"name": "wreck"}}


def test_names_for_literals_are_followed() -> None:
    assert read_config(SAMPLES / "states_config_by_names.py") == {
        "runtime": "python",
        "concurrency": 1,
        "queue": {"name": "ml-flow-queue"},
        "timeout": 300000,
        "flow": {
            "name": "ml-flow",
            "role": "step",
            "subscribes": ["data.prepared", "ml-flow.again"],
        },
    }


@pytest.mark.parametrize(
    "text",
    [
        "def handler(job, ctx): ...",
        "async def handler(job, ctx): ...",
        "handler = lambda job, ctx: None",
        "from mine import handler",
        "try:\n    import fast\nexcept ImportError:\n    def handler(job, ctx): ...",
        "@define_worker\ndef train(job, ctx): ...\nrun_worker(train)",
        "@nuxt_queue.define_worker()\ndef train(job, ctx): ...\nhandler = train",
        "from nuxt_queue import define_queue_worker as w\n@w\ndef train(job, ctx): ...",
        "def train(job, ctx): ...\nif __name__ == '__main__':\n    run_worker(train)",
        "def train(job, ctx): ...\nasyncio.run(nuxt_queue.run_worker(train))",
    ],
)
def test_a_handler_is_seen_in_every_way_of_stating_it(tmp_path: Path, text: str) -> None:
    assert read_worker(worker(tmp_path, f"config = {{}}\n{text}\n")).id == "worker"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "from nuxt_queue import define_worker, run_worker",
        "class C:\n    def handler(self): ...",
    ],
)
def test_a_file_without_a_handler_is_no_worker(tmp_path: Path, text: str) -> None:
    with pytest.raises(WorkerLoadError, match="has no handler; define handler"):
        read_worker(worker(tmp_path, f"config = {{}}\n{text}\n"))


def test_a_worker_below_another_folder_is_refused(tmp_path: Path) -> None:
    path = worker(tmp_path, "config = {}" + HANDLER, "a/worker.py")
    with pytest.raises(WorkerLoadError, match="is not below"):
        read_worker(path, directory=tmp_path / "b")
    assert read_worker(path, directory=tmp_path).id == "a/worker"
