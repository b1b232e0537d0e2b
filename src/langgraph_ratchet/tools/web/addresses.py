"""Which addresses a fetch may connect to: public ones, and those that the user names.

A page can say where the next fetch goes, so it must not be able to name the machine itself, the network around it, or
the service that hands out a cloud machine's credentials. What counts as public follows IANA's registries of special
addresses; an address that carries another one in it (6to4, Teredo, NAT64, mapped, ISATAP) is not public, whatever it
carries.
"""

import socket
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from langchain_core.tools import ToolException

from langgraph_ratchet.core.errors import BadInputError

Resolver = Callable[[str], Sequence[str]]
"""Gives the addresses of a host name, as text; raises `OSError` if it has none."""

_NOT_PUBLIC_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",
        "100.64.0.0/10",  # behind a provider's translation; also Alibaba's metadata
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's host, from inside its machines
        "169.254.0.0/16",  # link-local; metadata of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",  # multicast, reserved, broadcast
    )
)
_UNICAST_V6 = IPv6Network("2000::/3")
"""All that is routed in public; outside lie loopback, mapped, NAT64, fc00::/7, fe80::/10, fec0::/10, multicast."""
_NOT_PUBLIC_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
    )
)
_ISATAP = (0x00005EFE, 0x02005EFE)

_WEB_PORTS = frozenset({80, 443})
_FREE_PORTS_FROM = 1024


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether `address` is one of a machine on the public internet."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_V4)
    if address.scope_id is not None or address not in _UNICAST_V6:
        return False
    if int(address) >> 32 & 0xFFFFFFFF in _ISATAP:
        return False
    return not any(address in network for network in _NOT_PUBLIC_V6)


def system_resolver(host: str) -> list[str]:
    """The addresses that the operating system gives for `host`."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


@dataclass(frozen=True)
class Destinations:
    """Where a fetch may go: public addresses, and what is named here."""

    resolver: Resolver = system_resolver
    hosts: frozenset[str] = frozenset()
    """Names that may have any address."""
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Addresses that may be reached although they are not public."""

    @classmethod
    def of(cls, allow_private: Collection[str] = (), resolver: Resolver = system_resolver) -> "Destinations":
        """What `allow_private` names: host names, addresses and networks ("wiki.corp", "10.1.2.3", "10.1.0.0/16").

        Raises:
            BadInputError: an entry is none of these.
        """
        if isinstance(allow_private, str):
            raise BadInputError(f"allow_private is the text {allow_private!r}, it must be a collection of such texts")
        hosts: set[str] = set()
        networks: list[IPv4Network | IPv6Network] = []
        for entry in allow_private:
            try:
                networks.append(ip_network(entry))
            except ValueError:
                hosts.add(_host_name(entry))
        return cls(resolver, frozenset(hosts), tuple(networks))

    def addresses(self, host: str, port: int) -> list[str]:
        """The addresses to connect to for `host`, all of them checked; the name is looked up once, here.

        Args:
            host: a name or an address, as it stands in a URL.
            port: the port of the connection.

        Raises:
            ToolException: it has none, or one of them may not be reached.
        """
        name = host.lower().rstrip(".")
        found = [_address(text) for text in dict.fromkeys(self._look_up(name))]
        if not found:
            raise ToolException(f"the host {name[:100]!r} has no address: check the URL")
        private = [address for address in found if not is_public(address)]
        # One private address among public ones is refused too: which one a server gets must not be left to chance.
        if any(not self._allows(name, address) for address in private):
            raise ToolException(
                f"the host {name[:100]!r} is not on the public internet, where alone pages are fetched from; "
                "for one of your own, name it in web_fetch_tool(allow_private=...)"
            )
        if not private and port not in _WEB_PORTS and port < _FREE_PORTS_FROM:
            raise ToolException(f"port {port} is not one of web pages: 80, 443, or from {_FREE_PORTS_FROM} up")
        return [str(address) for address in found]

    def _look_up(self, name: str) -> Sequence[str]:
        if ":" in name or name.rpartition(".")[2].isdigit():
            return [name]
        # "0x7f.1" is an address to some resolvers and a name to others.
        if name.rpartition(".")[2].startswith("0x"):
            raise ToolException(f"{name[:100]!r} is not a host: write an address as four decimal numbers")
        try:
            return self.resolver(name)
        except (OSError, UnicodeError):
            return []

    def _allows(self, name: str, address: IPv4Address | IPv6Address) -> bool:
        return name in self.hosts or any(address in network for network in self.networks)


def _address(text: str) -> IPv4Address | IPv6Address:
    try:
        return ip_address(text)
    except ValueError:
        raise ToolException(f"{text[:100]!r} is not an address: write it as four decimal numbers, or as IPv6") from None


def _host_name(entry: str) -> str:
    name = entry.lower().rstrip(".")
    if not name or not all(part and part.replace("-", "").replace("_", "").isalnum() for part in name.split(".")):
        raise BadInputError(
            f"allow_private holds {entry!r}; it takes host names, addresses and networks, for example "
            "'wiki.corp', '10.1.2.3' or '10.1.0.0/16'"
        )
    return name
