"""How the address of Redis is read, and that no message shows its secrets."""

from __future__ import annotations

import traceback
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from redis import exceptions

from nuxt_queue.config import RedisConfig
from nuxt_queue.errors import ConfigError
from nuxt_queue.services.redis import RedisServer
from nuxt_queue.services.redis.address import Address


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("redis://localhost", "redis://localhost:6379/0"),
        ("redis://h:7000/3", "redis://h:7000/3"),
        ("redis://[::1]:7000/3", "redis://[::1]:7000/3"),
        ("redis://:s3cret@h:1/0", "redis://:***@h:1/0"),
        ("redis://s3cret@h:1/0", "redis://***@h:1/0"),
        ("rediss://me:s3cret@h:1/0", "rediss://me:***@h:1/0"),
        ("redis://h:1/0?password=s3cret", "redis://:***@h:1/0"),
        ("redis://h:1/?username=s3cret&db=2", "redis://***@h:1/2"),
        ("unix://me:s3cret@/run/redis.sock?db=2", "unix://me:***@/run/redis.sock?db=2"),
        (
            "redis+sentinel://:s3cret@a:1,b/main?db=2&sentinel_password=s3cret",
            "redis+sentinel://:***@a:1,b:26379/main?db=2",
        ),
        ("rediss+cluster://me:s3cret@a:1,b:2", "rediss+cluster://me:***@a:1,b:2/0"),
    ],
)
def test_an_address_is_named_without_its_secrets(url: str, name: str) -> None:
    """Also a user without a password, which is a token in the wrong place."""
    assert Address.parse(url).name == name
    assert "s3cret" not in repr(Address.parse(url)) + repr(RedisConfig.check({"url": url}, "t"))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("localhost:6379", "the address of Redis cannot be read"),
        ("http://x:s3cret@h", "the address of Redis cannot be read"),
        ("redis://h:s3cret", "the address of Redis cannot be read"),
        ("redis://:s3cret/more@h", "the address of Redis cannot be read"),
        ("redis://:12?s3cret=1@h", "the address of Redis cannot be read"),
        ("redis://:12#s3cret@h", "the address of Redis cannot be read"),
        ("redis://h/s3cret", "a database that is not a number"),
        ("redis://h/0?db=s3cret", "has an option whose value cannot be read"),
        ("redis://h/0?db=-1", "a database below 0"),
        ("redis://h/0?max_connections=7", 'has no option "max_connections"; known: db,'),
        ("rediss://h/0?ssl_magic=1", 'has no option "ssl_magic"'),
        ("redis+sentinel://h:1", "names no service of Sentinel"),
        ("redis+cluster://h:1/3", "a cluster has only 0"),
    ],
)
def test_an_address_that_cannot_be_read_is_refused_and_not_quoted(url: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RedisServer(url)

    assert said in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_cluster_needs_a_prefix_that_keeps_all_keys_on_one_node() -> None:
    with pytest.raises(ConfigError, match=r'the prefix is "nq": .* set prefix = "\{nq\}"'):
        RedisServer("redis+cluster://h:1")

    assert RedisServer("redis+cluster://h:1", prefix="{nq}").name == "redis+cluster://h:1/0"


# With a part in front that occurs nowhere else, so that finding it means that it was shown.
SECRETS = st.text(min_size=1, max_size=8).map(lambda text: f"Zq7{text}")
FORMS = st.sampled_from([
    "redis://{s}@h:1/0", "redis://:{s}@h:1/0", "rediss://u:{s}@h/0", "redis://h/0?password={s}",
    "redis://h/0?username={s}", "unix://:{s}@/x.sock", "unix:///x.sock?password={s}",
    "redis+sentinel://:{s}@a:1,b:2/m", "redis+sentinel://a:1/m?sentinel_password={s}",
    "redis+cluster://u:{s}@a:1,b:2", "redis://h/{s}", "redis://h:{s}/0", "redis://h?{s}=1",
    "redis://h?db={s}", "redis+sentinel://a:1?x={s}", "{s}://h", "rediss://h?ssl_password={s}",
    "redis://:{s}", "redis://u:{s}@", "redis://:{s}@h:x/0",
])  # fmt: skip


@given(SECRETS, FORMS, st.booleans())
@example("Zq7/x@y", "redis://:{s}@h:1/0", False)
@example("Zq7?a=b", "redis://u:{s}@h:1/0", False)
@example("Zq7#", "redis://:{s}@h", False)
@settings(max_examples=150, deadline=None)
def test_no_message_shows_a_secret(secret: str, form: str, encoded: bool) -> None:  # noqa: FBT001
    """Whatever it is made of, wherever it stands, also where it was not encoded."""
    assume(encoded or ":" not in secret)  # which ends the user's name, and that is shown
    text = form.format(s=quote(secret, safe="") if encoded else secret)
    try:
        server = RedisServer(text, prefix="{nq}")
    except ConfigError as error:
        shown = [str(error), repr(error), "".join(traceback.format_exception(error))]
    else:
        told = server.error(exceptions.ConnectionError(f"Error at {secret}, {text}."))
        refused = server.error(exceptions.ResponseError(f"User {secret} may not"))
        shown = [server.name, str(told), repr(refused), str(refused), repr(server._address)]
    assert not [each for each in shown if "Zq7" in each]
