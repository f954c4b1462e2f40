"""Messages between the keepers: what is sent arrives, and anything else is refused in one way."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.strategies import json_values, messages
from ishmael.core.messages import Message, MessageUnreadable, message_from_bytes, message_to_bytes


@given(messages)
def test_message_arrives_as_it_was_sent(message: Message) -> None:
    """Encoding and decoding gives the same message, nonces, epochs and records included."""
    assert message_from_bytes(message_to_bytes(message)) == message


@given(st.binary(max_size=200))
def test_noise_is_unreadable(raw: bytes) -> None:
    """Any bytes give a message or MessageUnreadable, never another error."""
    _read(raw)


@given(messages, st.data())
def test_spoilt_message_is_unreadable_or_a_message(message: Message, data: st.DataObject) -> None:
    """A field that was removed or replaced by any other value never gives another error."""
    body = json.loads(message_to_bytes(message))
    key = data.draw(st.sampled_from(sorted(body)))
    if data.draw(st.booleans()):
        del body[key]
    else:
        body[key] = data.draw(json_values)
    _read(json.dumps(body).encode())


@given(json_values)
def test_any_json_is_unreadable_or_a_message(value: object) -> None:
    """JSON that is no object at all is refused likewise."""
    _read(json.dumps(value).encode())


def _read(raw: bytes) -> None:
    try:
        message_from_bytes(raw)
    except MessageUnreadable as error:
        assert str(error)


def test_message_of_another_version_is_refused() -> None:
    """An update changes one node first: the other version's messages are noticed, not guessed at."""
    with pytest.raises(MessageUnreadable):
        message_from_bytes(b'{"v":999,"k":"withdraw","offer":[1,2]}')
