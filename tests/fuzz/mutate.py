"""A seeded mutator: what transfers, disks, editors and other programs do to files, and what no program would write."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

_TOKEN = re.compile(rb"[-+]?[0-9][0-9.eE+-]*|[A-Za-z_]+|\"[^\"\n]*\"")
STRANGE = [
    *(b"-1", b"0", b"1e999", b"NaN", b"Infinity", b"-0.0", b"true", b"null", b"[]", b"{}", b'""', b"1.5", b"0x1F"),
    *(b"9" * 30, b"9" * 5000, b"-" + b"9" * 400, b"18446744073709551616", b"9007199254740993", b"1e-400", b"1_000"),
    *(
        b".inf",
        b".nan",
        b"2024-13-45",
        b"2001-02-31T25:61:61Z",
        b"!!int x",
        b"!!timestamp x",
        b"!!python/none",
        b"!x y",
    ),
    *(b"*alias", b"&a [*a]", b"<<: *b", b"? [1]", b"1:2:3", b"yes", b"~", b"|\n", b"%YAML 9.9\n", b"---\n"),
    *(
        b"../../x",
        b"/etc/passwd",
        b"C:\\x",
        b"a\\b",
        b"\x1b[31m",
        b'"\\u001b[31m"',
        b'"\\ud800"',
        b"\x00",
        b"\r",
        b"\xff\xfe",
    ),
    *("é".encode("latin-1"), "傷".encode(), "\u202e".encode(), b" ", b",", b";", b"\t", b'"', b"'", b"\n", b"\n\n"),
]


def mutate(content: bytes, rng: random.Random) -> bytes:
    """One to four changes, mostly one."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        content = rng.choice(_CHANGES)(content, rng)
    return content


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _flip_bits(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 8)) if changed else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _drop(content: bytes, rng: random.Random) -> bytes:
    start, length = rng.randrange(len(content) + 1), rng.choice((1, 3, 40, 500))
    return content[:start] + content[start + length :]


def _repeat(content: bytes, rng: random.Random) -> bytes:
    start, length = rng.randrange(len(content) + 1), rng.choice((1, 20, 300))
    return (
        content[: start + length] + content[start : start + length] * rng.choice((1, 2, 50)) + content[start + length :]
    )


def _zeros(content: bytes, rng: random.Random) -> bytes:
    """A hole, as of a power cut."""
    start, length = rng.randrange(len(content) + 1), rng.choice((1, 16, 512, 4096))
    return content[:start] + b"\0" * min(length, len(content) - start) + content[start + length :]


def _noise(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content) + 1)
    return content[:start] + rng.randbytes(rng.choice((1, 4, 100))) + content[start:]


def _replace_token(content: bytes, rng: random.Random) -> bytes:
    tokens = list(_TOKEN.finditer(content[:200_000]))
    if not tokens:
        return _noise(content, rng)
    token = rng.choice(tokens)
    return content[: token.start()] + rng.choice(STRANGE) + content[token.end() :]


def _insert_strange(content: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(content) + 1)
    return content[:start] + rng.choice(STRANGE) + content[start:]


def _swap_lines(content: bytes, rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return b"\n".join(lines)


def _drop_line(content: bytes, rng: random.Random) -> bytes:
    lines = content.split(b"\n")
    del lines[rng.randrange(len(lines))]
    return b"\n".join(lines)


def _nest(content: bytes, rng: random.Random) -> bytes:
    depth = rng.choice((60, 2000, 100_000))
    left, right = rng.choice(((b"[", b"]"), (b'{"a":', b"}"), (b"- ", b""), (b"(", b")")))
    start = rng.randrange(len(content) + 1)
    return content[:start] + left * depth + right * depth + content[start:]


def _recode(content: bytes, rng: random.Random) -> bytes:
    text = content.decode("utf-8", errors="replace")
    return text.encode(rng.choice(("utf-16", "utf-32", "utf-8-sig", "cp1252")), errors="replace")


def _line_ends(content: bytes, rng: random.Random) -> bytes:
    return content.replace(b"\n", rng.choice((b"\r\n", b"\r", b"\x0b", b"\xe2\x80\xa8")))


def _nothing(content: bytes, rng: random.Random) -> bytes:
    return rng.choice((b"", b"\n", b"\0" * 100, rng.randbytes(200), b"\x89PNG\r\n\x1a\n", b"PK\x03\x04", b"{}", b"[]"))


_CHANGES: list[Callable[[bytes, random.Random], bytes]] = [
    *(_cut, _flip_bits, _drop, _repeat, _zeros, _noise, _insert_strange, _swap_lines, _drop_line, _nest, _recode),
    *(_line_ends, _nothing, _replace_token, _replace_token, _replace_token),
]
