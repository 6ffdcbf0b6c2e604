from __future__ import annotations

import pickle
import re

from nbtools import errors
from nbtools.errors import Diagnostic, ExportError, NbtoolsError, NotebookFormatError


def test_the_tree_in_the_docstring_is_the_tree_of_classes() -> None:
    drawn = set(re.findall(r"(\w+Error)\b", errors.__doc__ or ""))
    real = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert drawn == real
    assert all(issubclass(getattr(errors, name), NbtoolsError) for name in real)


def test_errors_survive_pickling_with_their_fields() -> None:
    findings = [Diagnostic("NQ205", "a", "b", 3, 4), Diagnostic("NQ102", "c", "", is_warning=True)]
    for error in (
        ExportError("n.ipynb", findings),
        NotebookFormatError("n.ipynb", "NQ002", "is empty", "save it"),
    ):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert (str(again), vars(again)) == (str(error), vars(error))


def test_a_finding_is_one_line_whatever_its_file_is_called() -> None:
    sentence = Diagnostic("NQ205", "a", "b", 3, 4).sentence("x\n\u202ey.ipynb")
    assert sentence == "x\\n\\u202ey.ipynb, cell 3, line 4: NQ205 a; b"
