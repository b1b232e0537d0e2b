"""A fetch connects to public addresses only, whatever URLs, name servers and redirects say. An audit hook sees it."""

import os
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from langchain_core.tools import ToolException

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.tools.web.addresses import Destinations, is_public

Connects = Callable[..., list[dict[str, Any]]]

# Where the collection is not at hand: URLs of its kinds.
OWN_URLS = [
    *(
        "file:///etc/hosts",
        "gopher://localhost:25/x",
        "ftp://127.0.0.1/",
        "dict://127.0.0.1:11211/",
        "http://[::",
    ),
    *("http://127.0.0.1/", "http://127.1/", "http://0/", "http://0x7f.1/", "http://2130706433/", "http://0177.0.0.1/"),
    *("http://169.254.169.254/latest/meta-data/", "http://192.168.0.1", "https://10.0.0.1", "http://100.100.100.200/"),
    *("http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://[fd00:ec2::254]/", "http://[fe80::1%25eth0]/"),
    *("http://127.1.1.1:80\\@127.2.2.2:80/", "http://8.8.8.8@127.0.0.1/", "http://127。0。0。1/", "http://①②⑦.⓪.⓪.①/"),
    *("http://localhost", "http://localhost.:80/", "http://metadata.google.internal/x", "http://%31%32%37.0.0.1/"),
]
TUNNELS = [
    *("2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:0:7f00:1::", "2001:0:4136:e378:8000:63bf:80ff:fffe"),  # 6to4, Teredo
    *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1", "fec0::1", "::ffff:10.0.0.1", "::7f00:1"),
    *("2600:1f00::5efe:10.0.0.1", "2600:1f00::200:5efe:a9fe:a9fe"),  # ISATAP
    *("fe80::1", "fc00::1", "::", "ff02::1", "2001:db8::1", "3fff::1", "168.63.129.16", "192.0.0.192", "192.88.99.1"),
    *("224.0.0.1", "240.0.0.1", "255.255.255.255", "198.18.0.1", "100.64.0.1"),
]
LITERAL = [f"http://[{address}]/" if ":" in address else f"http://{address}/" for address in TUNNELS]
ANSWERS = [
    ["169.254.169.254"],
    ["127.0.0.1"],
    ["::1"],
    ["8.8.8.8", "10.0.0.1"],
    ["64:ff9b::7f00:1"],
    ["not an address"],
]
STATUSES = (301, 302, 303, 307, 308)
PUBLIC = "93.184.216.34"


@pytest.fixture(scope="module")
def urls() -> list[str]:
    folder = os.environ.get("RATCHET_TEST_DATA")
    if not folder:
        print("not verified here: the collected URLs that a fetch must refuse (RATCHET_TEST_DATA is not set)")
        return OWN_URLS + LITERAL
    files = [
        Path(folder) / "security" / "ssrf" / name for name in ("must_block_literal.txt", "needs_dns_or_redirect.txt")
    ]
    literal, others = (file.read_text("utf-8").splitlines() for file in files)
    assert (len(literal), len(others)) == (120, 20)
    return literal + others + OWN_URLS + LITERAL


def test_no_url_leads_to_a_private_address(urls: list[str], connects: Connects) -> None:
    """Every name resolves to something private, as an attacker's own name server may answer."""
    asked = urls
    for answer in ANSWERS:
        results = connects([{"url": url, "names": {"*": [answer]}} for url in asked])
        for found in results:
            assert found["tried"] == [], found
            assert found["failed"], found
        asked = [found["url"] for found in results if found["looked_up"]]
        assert len(asked) >= 2


def test_no_redirect_leads_to_a_private_address(urls: list[str], site: Any, connects: Connects) -> None:
    for nth, url in enumerate(urls):
        # As a server may write it: the bytes of the URL, whatever they are.
        head = f"HTTP/1.1 {STATUSES[nth % len(STATUSES)]} Moved\r\nContent-Length: 0\r\nLocation: ".encode()
        site.raw(f"/{nth}", head + url.encode() + b"\r\n\r\n")
    names = {"start.test": [["127.0.0.1"]], "*": [["169.254.169.254"]]}
    cases = [{"url": f"http://start.test:{site.port}/{nth}", "names": names} for nth in range(len(urls))]
    results = connects(cases, allowed=["start.test"], permitted=[("127.0.0.1", site.port)])
    for found, url in zip(results, urls, strict=True):
        # The first connection is seen, so a second one would be.
        assert found["tried"] == [["127.0.0.1", site.port]], (url, found)
        assert found["failed"], (url, found)
    assert len(site.requests) == len(urls)


def test_a_name_is_looked_up_once_and_the_address_that_was_checked_is_the_one_used(connects: Connects) -> None:
    """DNS rebinding: public when it is looked at, private when it would be looked up again."""
    names = {"rebind.test": [[PUBLIC], ["127.0.0.1"]]}
    found, again = connects(
        [
            {"url": "http://rebind.test/", "names": names},
            {"url": "http://rebind.test/", "names": {"*": [["127.0.0.1"]]}},
        ]
    )
    assert found["looked_up"] == ["rebind.test"]
    assert found["tried"] == [[PUBLIC, 80]]
    assert again["tried"] == []


def test_a_name_that_is_rebound_between_redirects_is_checked_at_each(site: Any, connects: Connects) -> None:
    location = f"http://start.test:{site.port}/two"
    site.raw("/one", f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode())
    site.page("/two", b"<p>never</p>")
    names = {"start.test": [["127.0.0.1"], ["127.0.0.2"]]}
    case = {"url": f"http://start.test:{site.port}/one", "names": names}
    (found,) = connects([case], allowed=["127.0.0.1"], permitted=[("127.0.0.1", site.port)])
    assert found["tried"] == [["127.0.0.1", site.port]]
    assert "not on the public internet" in found["text"]


def test_all_addresses_of_a_public_name_are_tried_and_no_other(connects: Connects) -> None:
    answers = [["2606:2800:220:1::1", PUBLIC]]
    (found,) = connects([{"url": "https://pages.test/", "names": {"*": answers}}])
    assert [host for host, _ in found["tried"]] == answers[0]
    assert found["text"].startswith("error: no connection to 'pages.test'")


def test_ports_that_are_not_of_the_web_are_refused(connects: Connects) -> None:
    ports = (22, 25, 445, 8080)
    cases = [{"url": f"http://pages.test:{port}/", "names": {"*": [[PUBLIC]]}} for port in ports]
    tried = [found["tried"] for found in connects(cases)]
    assert tried == [[], [], [], [[PUBLIC, 8080]]]


@given(st.ip_addresses())
def test_what_counts_as_public_is_so_for_python_too(address: Any) -> None:
    if is_public(address):
        assert address.is_global
        assert not address.is_multicast
        assert not address.is_reserved


@pytest.mark.parametrize("address", TUNNELS)
def test_addresses_that_carry_others_or_are_special_are_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", PUBLIC, "2606:4700:4700::1111", "2a00:1450:4001::1"])
def test_addresses_of_public_servers_are_public(address: str) -> None:
    assert is_public(ip_address(address))
    assert Destinations(lambda host: [address]).addresses("pages.test", 443) == [address]


def test_what_is_allowed_is_named_and_nothing_else() -> None:
    allowed = ["Wiki.Corp", "10.1.2.3", "192.168.7.0/24", "fd12::/16"]
    answers = {
        "wiki.corp": "10.9.9.9",
        "other.corp": "10.9.9.9",
        "host.corp": "192.168.7.9",
        "near.corp": "192.168.8.9",
    }
    destinations = Destinations.of(allowed, lambda host: [answers[host]])
    for host in ("wiki.corp", "WIKI.corp.", "10.1.2.3", "host.corp", "fd12::1"):
        assert destinations.addresses(host, 81)
    for host in ("other.corp", "10.1.2.4", "near.corp", "fd13::1", "127.0.0.1"):
        with pytest.raises(ToolException, match=r"not on the public internet.*allow_private"):
            destinations.addresses(host, 80)


@pytest.mark.parametrize("entry", ["", "10.1.2.3/8", "http://wiki.corp/", "a b", "*.corp", "wiki.corp:80"])
def test_an_entry_that_names_nothing_is_refused(entry: str) -> None:
    with pytest.raises(BadInputError, match="host names, addresses and networks"):
        Destinations.of([entry])
    with pytest.raises(BadInputError, match="must be a collection"):
        Destinations.of("10.0.0.0/8")
