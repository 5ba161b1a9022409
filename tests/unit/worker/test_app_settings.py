"""Faust as we set it up: what is refused, and which of its settings our guarantees rest on."""

import ssl

import faust
import pytest

from pipeline.errors import Misconfigured
from pipeline.settings.model import KafkaSettings
from pipeline.worker.app import Registration, build_app, check
from pipeline.worker.credentials import broker_url, credentials


async def body(_stream):
    """Nothing."""


def agent(name="a", topics=("t",), *, isolated=False):
    return Registration(name=name, topics=topics, body=body, isolated=isolated)


@pytest.mark.parametrize(
    ("agents", "message"),
    [
        ([], "a worker without agents does nothing"),
        ([agent(), agent(topics=("u",))], "two agents are called a"),
        ([agent(), agent("b")], "two agents of one group read t"),
        ([agent("")], "agent '' needs a name and a topic"),
        ([agent(topics=())], "agent 'a' needs a name and a topic"),
    ],
)
def test_agents_that_faust_would_mix_up_are_refused(agents, message):
    with pytest.raises(Misconfigured, match=message):
        check(agents)


async def settings_of(kafka, *agents):
    app = build_app(kafka, group="omero.test", agents=agents)
    app.finalize()
    return app


@pytest.fixture
def app():
    import asyncio

    with asyncio.Runner() as runner:
        yield runner.run(settings_of(KafkaSettings(bootstrap="a:1,b:2"), agent(), agent("b", ("u",), isolated=True)))


def test_the_settings_that_nothing_may_change(app):
    conf = app.conf
    assert conf.id == "omero.test"
    assert [str(url) for url in conf.broker] == ["kafka://a:1", "kafka://b:2"]
    assert conf.broker_max_poll_interval == 1_000_000_000
    assert conf.broker_request_timeout > conf.broker_rebalance_timeout > conf.broker_session_timeout
    assert conf.consumer_auto_offset_reset == "none"
    assert conf.stream_wait_empty is True
    assert conf.processing_guarantee.value == "at_least_once"
    assert (conf.key_serializer, conf.value_serializer) == ("raw", "raw")
    off = (
        conf.topic_allow_declare,
        conf.web_enabled,
        conf.web_tables_enabled,
        conf.worker_redirect_stdouts,
        conf.autodiscover,
    )
    assert off == (False,) * 5
    assert conf.topic_disable_leader is True
    assert not app.tables


def test_faust_acknowledges_nothing_by_itself(app):
    assert {name: agent.channel.acks for name, agent in app.agents.items()} == {"a": False, "b": False}
    assert {name: agent.concurrency for name, agent in app.agents.items()} == {"a": 1, "b": 1}
    assert {name: agent.isolated_partitions for name, agent in app.agents.items()} == {"a": False, "b": True}


def kafka(**client):
    return KafkaSettings(client={name.replace("_", "."): value for name, value in client.items()})


def test_a_plain_connection_has_no_credentials():
    assert credentials(KafkaSettings()) is None
    assert broker_url(KafkaSettings(bootstrap="one:9092, two:9093")) == "kafka://one:9092;kafka://two:9093"


def test_a_password_over_tls():
    made = credentials(
        kafka(security_protocol="SASL_SSL", sasl_mechanism="SCRAM-SHA-512", sasl_username="ada", sasl_password="secret")
    )
    assert isinstance(made, faust.SASLCredentials)
    assert (made.username, made.password, made.mechanism.value, made.protocol.value) == (
        "ada",
        "secret",
        "SCRAM-SHA-512",
        "SASL_SSL",
    )
    assert (made.ssl_context.check_hostname, made.ssl_context.verify_mode) == (True, ssl.CERT_REQUIRED)
    assert "secret" not in repr(made)


def test_a_password_without_tls():
    made = credentials(kafka(security_protocol="sasl_plaintext", sasl_mechanisms="PLAIN", sasl_username="ada", sasl_password="x"))
    assert (made.protocol.value, made.ssl_context) == ("SASL_PLAINTEXT", None)


def test_tls_alone_with_checks_switched_off_by_name():
    made = credentials(kafka(security_protocol="ssl", ssl_endpoint_identification_algorithm="none"))
    assert isinstance(made, faust.SSLCredentials)
    assert (made.context.check_hostname, made.context.verify_mode) == (False, ssl.CERT_REQUIRED)
    made = credentials(kafka(security_protocol="ssl", enable_ssl_certificate_verification="false"))
    assert made.context.verify_mode == ssl.CERT_NONE


@pytest.mark.parametrize(
    ("client", "message"),
    [
        ({"security_protocol": "sasl_plaintext", "sasl_mechanism": "GSSAPI"}, "sets sasl.mechanism to 'GSSAPI'"),
        ({"security_protocol": "sasl_plaintext", "sasl_mechanism": "PLAIN"}, "has no sasl.username"),
        ({"security_protocol": "tls"}, "sets security.protocol to 'tls'"),
        ({"sasl_kerberos_principal": "x"}, "sets sasl.kerberos.principal, which the Faust worker cannot do"),
        ({"security_protocol": "ssl", "ssl_ca_location": "/nowhere.pem"}, "a certificate or key in kafka.client cannot be used"),
    ],
)
def test_what_the_worker_cannot_do_is_refused_with_a_way_out(client, message):
    with pytest.raises(Misconfigured, match=message) as caught:
        credentials(kafka(**client))
    assert caught.value.fix
