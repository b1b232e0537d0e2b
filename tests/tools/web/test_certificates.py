"""Over TLS it is the name in the URL that a certificate must be for, though the connection goes to an address."""

import datetime
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import ToolCall

from langgraph_ratchet.tools.runner import run_tool
from langgraph_ratchet.tools.web import transport
from langgraph_ratchet.tools.web_fetch import web_fetch_tool

x509 = pytest.importorskip(
    "cryptography.x509", reason="not verified here: certificates (cryptography is not installed)"
)


def certificate_for(name: str, folder: Path) -> tuple[Path, Path]:
    """A certificate that vouches for itself, and its key."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(pem))
    encoded = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(encoded)
    return folder / "certificate.pem", folder / "key.pem"


@pytest.fixture
def secure(site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The site over TLS, as `pages.test`; its certificate is one that the user trusts."""
    certificate, key = certificate_for("pages.test", tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    site.socket = context.wrap_socket(site.socket, server_side=True, do_handshake_on_connect=False)
    site.handle_error = lambda request, address: None  # a client that does not trust it hangs up
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    transport._certificates.cache_clear()
    yield site
    transport._certificates.cache_clear()


def test_a_page_comes_over_tls_from_the_host_that_its_url_names(secure: Any) -> None:
    secure.page("/", b"The answer is 42.", "text/plain")
    tool = web_fetch_tool(["127.0.0.1"], resolver=lambda host: ["127.0.0.1"])
    for host, wanted in (
        ("pages.test", "The answer is 42."),
        ("other.test", "certificate"),
        ("127.0.0.1", "certificate"),
    ):
        call = ToolCall(name="web_fetch", args={"url": f"https://{host}:{secure.port}/"}, id="1")
        assert wanted in run_tool(tool, call).text


def test_a_certificate_that_nobody_trusts_is_refused(secure: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    secure.page("/", b"The answer is 42.", "text/plain")
    monkeypatch.delenv("SSL_CERT_FILE")
    transport._certificates.cache_clear()
    tool = web_fetch_tool(["127.0.0.1"], resolver=lambda host: ["127.0.0.1"])
    call = ToolCall(name="web_fetch", args={"url": f"https://pages.test:{secure.port}/"}, id="1")
    assert "self-signed certificate" in run_tool(tool, call).text
