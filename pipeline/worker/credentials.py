"""What a site says about security in librdkafka's words, in Faust's: the subset that both libraries understand."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

import faust
import structlog

from pipeline.errors import Misconfigured
from pipeline.settings.model import KafkaSettings

log = structlog.get_logger(__name__)

MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
PROTOCOLS = ("plaintext", "ssl", "sasl_plaintext", "sasl_ssl")
UNDERSTOOD = frozenset(
    {
        "security.protocol",
        "sasl.mechanism",
        "sasl.mechanisms",
        "sasl.username",
        "sasl.password",
        "ssl.ca.location",
        "ssl.certificate.location",
        "ssl.key.location",
        "ssl.key.password",
        "ssl.endpoint.identification.algorithm",
        "enable.ssl.certificate.verification",
    }
)
TAKEN = frozenset({"client.id", "session.timeout.ms", "heartbeat.interval.ms"})  # read by `app.py`
_ABOUT_SECURITY = ("security.", "sasl.", "ssl.", "enable.ssl.", "enable.sasl.")


def broker_url(kafka: KafkaSettings) -> str:
    """``host:port,host:port`` as Faust wants it."""
    return ";".join(f"kafka://{host.strip()}" for host in kafka.bootstrap.split(",") if host.strip())


def credentials(kafka: KafkaSettings) -> Any | None:
    """Faust's credentials; None for a plain connection.

    Raises:
        Misconfigured: ``kafka.client`` asks for what Faust's Kafka library cannot do, or names a file that cannot be read.
    """
    client = kafka.client
    _check(client)
    protocol = client.get("security.protocol", "plaintext").lower()
    if protocol not in PROTOCOLS:
        raise _wrong("security.protocol", client["security.protocol"], PROTOCOLS)
    context = _context(client) if protocol in {"ssl", "sasl_ssl"} else None
    if protocol in {"plaintext", "ssl"}:
        return faust.SSLCredentials(context=context) if context else None
    mechanism = client.get("sasl.mechanism", client.get("sasl.mechanisms", "")).upper()
    if mechanism not in MECHANISMS:
        raise _wrong("sasl.mechanism", mechanism, MECHANISMS)
    if not client.get("sasl.username"):
        raise Misconfigured("kafka.client has no sasl.username", fix="set sasl.username and sasl.password in kafka.client")
    return faust.SASLCredentials(
        username=client["sasl.username"], password=client.get("sasl.password", ""), ssl_context=context, mechanism=mechanism
    )


def _check(client: Mapping[str, str]) -> None:
    unknown = sorted(name for name in client if name not in UNDERSTOOD | TAKEN)
    serious = [name for name in unknown if name.startswith(_ABOUT_SECURITY)]
    if serious:
        raise Misconfigured(
            f"kafka.client sets {', '.join(serious)}, which the Faust worker cannot do",
            fix=f"use only {', '.join(sorted(UNDERSTOOD))}; mechanisms {', '.join(MECHANISMS)}",
        )
    if unknown:
        log.warning("kafka.properties_not_used", properties=unknown, why="they tune librdkafka, and the worker reads without it")


def _context(client: Mapping[str, str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=client.get("ssl.ca.location") or None)
        if client.get("ssl.certificate.location"):
            context.load_cert_chain(
                client["ssl.certificate.location"],
                client.get("ssl.key.location") or None,
                client.get("ssl.key.password") or None,
            )
    except OSError as exc:  # an ssl.SSLError is one
        raise Misconfigured(
            f"a certificate or key in kafka.client cannot be used: {exc}",
            fix="let ssl.ca.location, ssl.certificate.location and ssl.key.location name readable PEM files",
        ) from exc
    if client.get("ssl.endpoint.identification.algorithm", "https").lower() in {"none", ""}:
        context.check_hostname = False
    if client.get("enable.ssl.certificate.verification", "true").lower() == "false":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _wrong(name: str, value: str, known: tuple[str, ...]) -> Misconfigured:
    return Misconfigured(
        f"kafka.client sets {name} to {value!r}, which the Faust worker cannot do", fix=f"set {name} to one of {', '.join(known)}"
    )
