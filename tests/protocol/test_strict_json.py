"""What a line may hold: our own pins of RFC 8259, decided the same by every conforming parser.

faults 0 row 8 and section B: what must be accepted, what refused, and what the grammar leaves open.
"""

from __future__ import annotations

from typing import Any

import pytest

from nuxt_queue.errors import ParseError
from nuxt_queue.rpc.codec import MESSAGE_DEPTH, decode, encode

ACCEPTED: dict[str, tuple[bytes, Any]] = {
    # the seven kinds of value, each alone on its line
    "true": (b"true", True),
    "false": (b"false", False),
    "null": (b"null", None),
    "a string": (b'"a"', "a"),
    "an empty string": (b'""', ""),
    "zero": (b"0", 0),
    "an empty array": (b"[]", []),
    "an empty object": (b"{}", {}),
    # numbers
    "an integer": (b"42", 42),
    "a negative integer": (b"-42", -42),
    "minus zero as an integer": (b"-0", 0),
    "minus zero as a float": (b"-0.0", -0.0),
    "a fraction": (b"0.5", 0.5),
    "a fraction with trailing zeros": (b"1.500", 1.5),
    "an exponent": (b"1e3", 1000.0),
    "an upper case exponent": (b"1E3", 1000.0),
    "a signed exponent": (b"1e+3", 1000.0),
    "a negative exponent": (b"1e-3", 0.001),
    "an exponent with leading zeros": (b"1e007", 1e7),
    "a zero with an exponent": (b"0e9", 0.0),
    "a fraction and an exponent": (b"12.5e-1", 1.25),
    "the largest double": (b"1.7976931348623157e308", 1.7976931348623157e308),
    "the smallest double": (b"5e-324", 5e-324),
    "an underflow is zero": (b"1e-400", 0.0),
    "a huge negative exponent is zero": (b"1e-100000", 0.0),
    "a sum that no double holds": (b"0.30000000000000004", 0.1 + 0.2),
    "more digits than a double has": (b"3.141592653589793238462643383279", 3.141592653589793),
    "2^53 + 1": (b"9007199254740993", 2**53 + 1),
    "2^63": (b"9223372036854775808", 2**63),
    "2^64": (b"18446744073709551616", 2**64),
    "an integer of 400 digits": (b"1" + b"0" * 400, 10**400),
    "an integer of 4300 digits": (b"9" * 4300, 10**4300 - 1),
    "a negative integer of 4300 digits": (b"-" + b"9" * 4300, 1 - 10**4300),
    # strings
    "a quote": (rb'"\""', '"'),
    "a backslash": (rb'"\\"', "\\"),
    "an escaped slash": (rb'"\/"', "/"),
    "a bare slash": (b'"/"', "/"),
    "a backspace": (rb'"\b"', "\b"),
    "a form feed": (rb'"\f"', "\f"),
    "a newline": (rb'"\n"', "\n"),
    "a carriage return": (rb'"\r"', "\r"),
    "a tab": (rb'"\t"', "\t"),
    "an escaped NUL": (rb'"\u0000"', "\0"),
    "an escaped control character": (rb'"\u001f"', "\x1f"),
    "an escaped letter": (rb'"\u0041"', "A"),
    "hex digits in upper case": (rb'"\u00E9"', "é"),
    "hex digits in lower case": (rb'"\u00e9"', "é"),
    "hex digits in both cases": (rb'"\u00eF"', "ï"),
    "an escaped pair": (rb'"\ud83d\ude00"', "😀"),
    "an escaped pair in upper case": (rb'"\uD83D\uDE00"', "😀"),
    "the first code point of a pair": (rb'"\ud800\udc00"', "\U00010000"),
    "the last code point of a pair": (rb'"\udbff\udfff"', "\U0010ffff"),
    "an escape and its neighbours": (rb'"a\u0062c"', "abc"),
    "the text of an escape": (rb'"\\u0041"', "\\u0041"),
    "the text of half a pair": (rb'"\\ud800"', "\\ud800"),
    "two bytes of UTF-8": ('"é"'.encode(), "é"),
    "three bytes of UTF-8": ('"€"'.encode(), "€"),
    "four bytes of UTF-8": ('"😀"'.encode(), "😀"),
    "DEL": (b'"\x7f"', "\x7f"),
    "a line separator U+2028": ('"\u2028"'.encode(), "\u2028"),
    "a paragraph separator U+2029": ('"\u2029"'.encode(), "\u2029"),
    "a next line U+0085": ('"\u0085"'.encode(), "\u0085"),
    "a byte order mark inside a string": ('"\ufeff"'.encode(), "\ufeff"),
    "a noncharacter": ('"\uffff"'.encode(), "\uffff"),
    "an escaped noncharacter": (rb'"\uffff"', "\uffff"),
    "the highest code point": ('"\U0010ffff"'.encode(), "\U0010ffff"),
    "a composed letter stays composed": ('"\u00e9"'.encode(), "\u00e9"),
    "a decomposed letter stays decomposed": ('"e\u0301"'.encode(), "e\u0301"),
    "right to left": ('"שלום"'.encode(), "שלום"),
    "a string that looks like JSON": (rb'"{\"a\":1}"', '{"a":1}'),
    "a string that looks like a number": (b'"1"', "1"),
    # arrays and objects
    "an array of one": (b"[1]", [1]),
    "an array of kinds": (b'[1,"a",null,true,[],{}]', [1, "a", None, True, [], {}]),
    "nested arrays": (b"[[[[]]]]", [[[[]]]]),
    "a member": (b'{"a":1}', {"a": 1}),
    "an empty key": (b'{"":1}', {"": 1}),
    "an escaped key": (rb'{"\u0061":1}', {"a": 1}),
    "a key of NUL": (rb'{"\u0000":1}', {"\0": 1}),
    "a key outside ASCII": ('{"clé":1}'.encode(), {"clé": 1}),
    "a key named __proto__": (b'{"__proto__":1}', {"__proto__": 1}),
    "keys in their order": (b'{"b":1,"a":2}', {"b": 1, "a": 2}),
    "nested objects": (b'{"a":{"a":{"a":{}}}}', {"a": {"a": {"a": {}}}}),
    # white space
    "spaces around": (b"  1  ", 1),
    "tabs around": (b"\t1\t", 1),
    "a carriage return at the end": (b"1\r", 1),
    "its newline": (b"1\n", 1),
    "a windows line end": (b"1\r\n", 1),
    "spaces everywhere": (b' { "a" : [ 1 , 2 ] } ', {"a": [1, 2]}),
    "newlines inside": (b'{\n"a"\n:\n1\n}', {"a": 1}),
    # what the grammar leaves open, pinned
    "of two keys the last wins": (b'{"a":1,"a":2}', {"a": 2}),
    "of two equal members one stays": (b'{"a":1,"a":1}', {"a": 1}),
    "the last wins also through an escape": (rb'{"a":1,"\u0061":2}', {"a": 2}),
    "500 arrays": (b"[" * 500 + b"]" * 500, None),
    "500 objects": (b'{"a":' * 500 + b"1" + b"}" * 500, None),
    "as deep as allowed": (b"[" * MESSAGE_DEPTH + b"]" * MESSAGE_DEPTH, None),
    "wide, not deep": (b"[" + b"[]," * 9_999 + b"[]]", [[]] * 10_000),
}

REFUSED: dict[str, bytes] = {
    # nothing, and too much
    "nothing": b"",
    "white space": b" \t",
    "two values": b"1 2",
    "two objects": b"{}{}",
    "a value and a comma": b"1,",
    "a value and a bracket": b"[]]",
    "a value and a brace": b"{}}",
    "a value and text": b"{} x",
    "a value and a comment": b"1 // one",
    "a value and NUL": b"1\x00",
    # numbers
    "a leading plus": b"+1",
    "a leading zero": b"01",
    "a negative leading zero": b"-01",
    "two zeros": b"00",
    "a lone minus": b"-",
    "two minuses": b"--1",
    "a minus and a space": b"- 1",
    "a point without a digit after": b"1.",
    "a point without a digit before": b".5",
    "a minus and a point": b"-.5",
    "a point and an exponent": b"1.e3",
    "an empty exponent": b"1e",
    "an empty signed exponent": b"1e+",
    "two exponents": b"1e2e3",
    "two points": b"1.2.3",
    "a hexadecimal": b"0x1F",
    "an octal": b"0o17",
    "a grouped number": b"1_000",
    "a thousands comma": b"1,000",
    "a decimal comma": b"0,5",
    "a long suffix": b"1L",
    "full width digits": "\uff11".encode(),
    "Arabic digits": "\u0661".encode(),
    "NaN": b"NaN",
    "negative NaN": b"-NaN",
    "lower case nan": b"nan",
    "Infinity": b"Infinity",
    "negative Infinity": b"-Infinity",
    "inf": b"inf",
    "NaN in an array": b"[1,NaN]",
    "Infinity in an object": b'{"a":Infinity}',
    "an overflow": b"1e400",
    "a negative overflow": b"-1e400",
    "an overflow by digits": b"1" + b"0" * 400 + b".0",
    "an overflow deep inside": b'{"a":[{"b":1e999}]}',
    "an integer of 4301 digits": b"1" + b"0" * 4300,
    # names
    "True": b"True",
    "None": b"None",
    "NULL": b"NULL",
    "a cut true": b"tru",
    "a long true": b"truee",
    "undefined": b"undefined",
    "a bare word": b"hello",
    # strings
    "an open string": b'"abc',
    "a lone quote": b'"',
    "a string that ends in a backslash": b'"abc\\"',
    "single quotes": b"'a'",
    "backticks": b"`a`",
    "an unknown escape": rb'"\x41"',
    "an escaped quote of the other kind": rb'"\'"',
    "an escaped zero": rb'"\0"',
    "an escaped bell": rb'"\a"',
    "an escaped vertical tab": rb'"\v"',
    "an upper case escape": rb'"\N"',
    "an upper case unicode escape": rb'"\U0041"',
    "three hex digits": rb'"\u004"',
    "no hex digits": rb'"\u"',
    "a hex digit that is none": rb'"\u00g1"',
    "a sign in a hex escape": rb'"\u+041"',
    "a space in a hex escape": rb'"\u 041"',
    "an underscore in a hex escape": rb'"\u0_41"',
    "a prefix in a hex escape": rb'"\u0x41"',
    "a raw newline": b'"a\nb"',
    "a raw carriage return": b'"a\rb"',
    "a raw tab": b'"a\tb"',
    "a raw NUL": b'"a\x00b"',
    "a raw escape character": b'"a\x1bb"',
    "a raw unit separator": b'"a\x1fb"',
    # surrogates
    "a first half alone": rb'"\ud83d"',
    "a first half and a letter": rb'"\ud83da"',
    "a first half at the end": rb'"abc\ud800"',
    "a second half alone": rb'"\ude00"',
    "a second half alone in upper case": rb'"\uDE00"',
    "halves the wrong way round": rb'"\ude00\ud83d"',
    "two first halves": rb'"\ud83d\ud83d"',
    "a pair and half of one": rb'"\ud83d\ude00\ud83d"',
    "half a pair and an escaped letter": rb'"\ud83d\u0041"',
    "half a pair as a key": rb'{"\ud83d":1}',
    "half a pair deep inside": rb'{"a":[{"b":"\udfff"}]}',
    # arrays
    "an open array": b"[1",
    "an array that only opens": b"[",
    "a trailing comma": b"[1,]",
    "a leading comma": b"[,1]",
    "two commas": b"[1,,2]",
    "a lone comma": b"[,]",
    "no comma": b"[1 2]",
    "a semicolon": b"[1;2]",
    "a colon in an array": b"[1:2]",
    "a closing bracket alone": b"]",
    "the wrong closing bracket": b"[1}",
    "round brackets": b"(1)",
    # objects
    "an open object": b'{"a":1',
    "an object that only opens": b"{",
    "a key without a value": b'{"a"}',
    "a key and a colon": b'{"a":}',
    "a value without a key": b"{:1}",
    "a trailing comma in an object": b'{"a":1,}',
    "a leading comma in an object": b'{,"a":1}',
    "two colons": b'{"a"::1}',
    "an equals sign": b'{"a"=1}',
    "no comma between members": b'{"a":1 "b":2}',
    "a bare key": b"{a:1}",
    "a number as a key": b"{1:1}",
    "null as a key": b"{null:1}",
    "a key in single quotes": b"{'a':1}",
    "a string instead of members": b'{"a","b"}',
    "the wrong closing brace": b'{"a":1]',
    # comments and other dialects
    "a line comment": b"// a\n1",
    "a block comment": b"/* a */ 1",
    "a comment inside": b"[1, /* a */ 2]",
    "a hash comment": b"1 # a",
    "a function call": b"f()",
    "a tuple": b"(1, 2)",
    "a set": b"{1, 2}",
    "a JSONP call": b"cb({})",
    "an XSSI prefix": b")]}'\n{}",
    # encodings
    "a byte order mark": b"\xef\xbb\xbf1",
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "UTF-16 big endian": "1".encode("utf-16-be"),
    "UTF-32": "1".encode("utf-32-le"),
    "latin-1": '"é"'.encode("latin-1"),
    "a continuation byte alone": b'"\x80"',
    "a cut sequence": b'"\xe2\x82"',
    "a sequence cut at the end of the line": b'"\xf0\x9f\x98',
    "an overlong NUL": b'"\xc0\x80"',
    "an overlong slash": b'"\xc0\xaf"',
    "an overlong letter": b'"\xe0\x81\x81"',
    "a surrogate in UTF-8": b'"\xed\xa0\xbd"',
    "a pair of surrogates in UTF-8": b'"\xed\xa0\xbd\xed\xb8\x80"',
    "beyond the last code point": b'"\xf4\x90\x80\x80"',
    "five bytes": b'"\xf8\x88\x80\x80\x80"',
    "the byte FF": b'"\xff"',
    "a bad byte outside a string": b"[1]\xff",
    # white space that JSON does not know
    "a no-break space": "\u00a01".encode(),
    "a form feed around": b"\x0c1",
    "a vertical tab around": b"\x0b1",
    "a line separator around": "\u20281".encode(),
    "a next line around": "1\u0085".encode(),
    # depth
    "one level too deep": b"[" * (MESSAGE_DEPTH + 1) + b"]" * (MESSAGE_DEPTH + 1),
    "one object too deep": b'{"a":' * (MESSAGE_DEPTH + 1) + b"1" + b"}" * (MESSAGE_DEPTH + 1),
    "a mixture too deep": b'[{"a":' * 300 + b"1" + b"}]" * 300,
    "100000 arrays": b"[" * 100_000 + b"]" * 100_000,
    "100000 open arrays": b"[" * 100_000,
    "100000 open objects": b'{"":' * 100_000,
}


@pytest.mark.parametrize(("line", "value"), ACCEPTED.values(), ids=ACCEPTED)
def test_a_line_that_is_json_is_read(line: bytes, value: Any) -> None:
    """Faults 36 to 38, 41 and B: accepted, with its exact value and type."""
    got = decode(line)

    if value is not None or line == b"null":
        assert repr(got) == repr(value)


@pytest.mark.parametrize("line", REFUSED.values(), ids=REFUSED)
def test_a_line_that_is_not_json_is_refused(line: bytes) -> None:
    """Faults 35, 38, 41 and B: one typed error, whatever the bytes are."""
    with pytest.raises(ParseError) as caught:
        decode(line)

    assert caught.value.code == -32700
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_there_are_at_least_150_pins() -> None:
    assert len(ACCEPTED) + len(REFUSED) >= 150


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        -float("inf"),
        [float("nan")],
        {"a": float("inf")},
    ],
    ids=repr,
)
def test_what_json_does_not_have_is_never_written(value: Any) -> None:
    """Faults 35: never null, never a bare NaN."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode(value)


def test_a_line_is_ascii_without_a_raw_newline() -> None:
    """Faults 31: nothing that some reader takes for the end of a line."""
    line = encode({"text": "a\r\n\u2028\u2029\u0085\x0b\x0c\x1c\0é😀"})

    assert line.endswith(b"\n")
    assert line.isascii()
    assert not set(line[:-1]) & set(range(32))
    assert len(line.decode().splitlines()) == 1
