"""The address of Redis: the one place that reads it, and that keeps its secrets out of messages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from redis.asyncio.connection import Connection, SSLConnection
from redis.asyncio.connection import parse_url as parse_options

from nuxt_queue.errors import ConfigError

__all__ = ["Address"]

_PORT, _SENTINEL_PORT = 6379, 26379
_FORMS = (
    "redis://user:password@host:port/db, rediss:// for TLS, unix://path?db=0,"
    " redis+sentinel://host:port,host:port/service?db=0 or redis+cluster://host:port,host:port"
)
_ENCODE = "the characters / ? # @ : of a user or password are written as %2F %3F %23 %40 %3A"
_SCHEMES = frozenset({
    "redis", "rediss", "unix",
    "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster",
})  # fmt: skip
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?")
_DATABASE = re.compile(r"/?(\d{1,6})?")
# Everything else of a connection is set here: an option that would be overwritten is refused.
_OPTIONS = frozenset({
    "db", "username", "password", "protocol", "socket_keepalive", "health_check_interval",
})  # fmt: skip
_OF_SENTINEL = {"sentinel_username": "username", "sentinel_password": "password"}


@dataclass(frozen=True, slots=True)
class Address:
    """Where Redis is, and how to log in.

    Attributes:
        name: The address for messages; every secret of it is `***`.
        hosts: Host and port of each server, Sentinel or cluster node; none for a socket file.
        service: The name of the primary that Sentinel watches, else "".
        is_cluster: True for a Redis Cluster.
        is_tls: True if connections are encrypted.
        options: Options of each connection to Redis.
        sentinel_options: Options of each connection to a Sentinel.
        secrets: The texts that no message may contain.
    """

    name: str
    hosts: tuple[tuple[str, int], ...]
    service: str
    is_cluster: bool
    is_tls: bool
    options: Mapping[str, Any] = field(repr=False)
    sentinel_options: Mapping[str, Any] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)

    @classmethod
    def parse(cls, url: str) -> Address:
        """Read an address.

        Args:
            url: One of the forms that the page "Queues and flows" lists.

        Raises:
            ConfigError: The address cannot be read.  The message quotes nothing that may be
                secret.
        """
        scheme, login, hosts, path, query = _parts(url)
        tls, kind = scheme.startswith("rediss"), scheme.partition("+")[2]
        options, sentinel = _options(query, tls=tls, may_have_sentinel=kind == "sentinel")
        user, _, password = login.partition(":")
        if user:
            options["username"] = unquote(user)
        if password:
            options["password"] = unquote(password)
        service = ""
        if scheme == "unix":
            if hosts or not path:
                raise _unreadable()
            options["path"] = unquote(path)
        elif kind == "sentinel":
            service = unquote(path.strip("/"))
            if not re.fullmatch(r"[\w.-]+", service):
                raise ConfigError(
                    "the address of Redis names no service of Sentinel;"
                    " write redis+sentinel://host:port/service?db=0"
                )
        elif found := _DATABASE.fullmatch(path):
            options.setdefault("db", int(found[1] or 0))
        else:
            raise ConfigError(
                "the address of Redis ends in a database that is not a number;"
                f" write redis://host:port/0, and {_ENCODE}"
            )
        options.setdefault("db", 0)
        if kind == "cluster" and options["db"]:
            raise ConfigError("the address of Redis names a database; a cluster has only 0")
        port = _SENTINEL_PORT if kind == "sentinel" else _PORT
        found_hosts = () if scheme == "unix" else _hosts(hosts, port, many=bool(kind))
        secrets = _secrets(options, sentinel, login, query)
        return cls(
            name=_name(scheme, found_hosts, service, options),
            hosts=found_hosts,
            service=service,
            is_cluster=kind == "cluster",
            is_tls=tls,
            options=options,
            sentinel_options=sentinel,
            secrets=secrets,
        )

    def masked(self, text: str) -> str:
        """Return a text in which each secret of the address is `***`."""
        for secret in self.secrets:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "***", text)
        return text


def _parts(url: str) -> tuple[str, str, str, str, str]:
    """Split an address into scheme, login, hosts, path and query."""
    scheme, separator, rest = url.strip().partition("://")
    if not separator or scheme not in _SCHEMES or "#" in rest:
        raise _unreadable()
    before, _, query = rest.partition("?")
    authority, slash, path = before.partition("/")
    login, at, hosts = authority.rpartition("@")
    # Without a login in front, what stands before an "@" further on is part of a password.
    if not at and "@" in path + query:
        raise _unreadable()
    return scheme, login, hosts, slash + path, query


def _hosts(text: str, port: int, *, many: bool) -> tuple[tuple[str, int], ...]:
    found = []
    for each in text.split(",") if many else [text]:
        match = _HOST.fullmatch(each)
        if match is None or int(match[2] or port) not in range(1, 65536):
            raise _unreadable()
        found.append((match[1].strip("[]"), int(match[2] or port)))
    return tuple(found)


def _options(
    query: str, *, tls: bool, may_have_sentinel: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the options of an address; those of Sentinel are returned apart."""
    try:
        stated = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    except ValueError:
        raise _unreadable() from None
    known = _OPTIONS | (_OF_SENTINEL.keys() if may_have_sentinel else frozenset())
    for name in stated:
        if name not in known and not (tls and re.fullmatch(r"ssl_[a-z_]+", name)):
            said = f'"{name}"' if re.fullmatch(r"[a-z_]{1,40}", name) else "of that name"
            raise ConfigError(
                f"the address of Redis has no option {said}; known: {', '.join(sorted(known))},"
                " and ssl_... with TLS"
            )
    sentinel = {ours: stated[name] for name, ours in _OF_SENTINEL.items() if name in stated}
    try:
        options: dict[str, Any] = dict(parse_options(f"redis://h?{query}"))
    except ValueError:
        raise ConfigError(
            "the address of Redis has an option whose value cannot be read, such as a db that is"
            " not a number"
        ) from None
    options = {name: value for name, value in options.items() if name in stated}
    for name in _OF_SENTINEL:
        options.pop(name, None)
    try:
        (SSLConnection if tls else Connection)(**options)  # which connects nowhere
    except Exception as error:  # noqa: BLE001 whatever the library says of a value may quote it
        unknown = re.findall(r"argument '(ssl_[a-z_]{1,40})'", str(error))
        said = f'has no option "{unknown[0]}"' if unknown else "has an option with a wrong value"
        raise ConfigError(f"the address of Redis {said}") from None
    if options.get("db", 0) < 0:
        raise ConfigError("the address of Redis names a database below 0")
    return options, sentinel


def _secrets(
    options: Mapping[str, Any], sentinel: Mapping[str, Any], login: str, query: str
) -> tuple[str, ...]:
    """Return what must not be shown, as it is and as it is written in the address.

    That is each password, and a user without one, which may be a token.
    """
    written = dict(each.split("=", 1) for each in query.split("&") if "=" in each)
    user, _, password = login.partition(":")
    found = {password, options.get("password"), options.get("ssl_password")}
    found |= {sentinel.get("password")}
    found |= {text for name, text in written.items() if name.endswith("password")}
    if not options.get("password"):
        found |= {user, options.get("username"), written.get("username")}
    if not sentinel.get("password"):
        found |= {sentinel.get("username"), written.get("sentinel_username")}
    return tuple(sorted((each for each in found if each), key=len, reverse=True))


def _name(
    scheme: str, hosts: tuple[tuple[str, int], ...], service: str, options: Mapping[str, Any]
) -> str:
    user = options.get("username") or ""
    login = f"{user}:***@" if options.get("password") else "***@" if user else ""
    if "path" in options:
        return f"{scheme}://{login}{options['path']}?db={options['db']}"
    places = ",".join(
        f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in hosts
    )
    where = f"{service}?db={options['db']}" if service else options["db"]
    return f"{scheme}://{login}{places}/{where}"


def _unreadable() -> ConfigError:
    return ConfigError(f"the address of Redis cannot be read; write {_FORMS}; {_ENCODE}")
