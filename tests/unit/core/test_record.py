"""The record on disk."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.strategies import epochs, json_values, records
from ishmael.words.record import Epoch, Record, RecordUnreadable, record_from_bytes


@given(records)
def test_record_is_read_as_it_was_written(record: Record) -> None:
    """Writing and reading gives the same record."""
    assert record_from_bytes(record.to_bytes()) == record


@given(records, st.data())
def test_spoilt_record_is_unreadable_or_a_record(record: Record, data: st.DataObject) -> None:
    """A missing or wrong field never gives another error than RecordUnreadable."""
    body = record.to_mapping()
    key = data.draw(st.sampled_from(sorted(body)))
    if data.draw(st.booleans()):
        del body[key]
    else:
        body[key] = data.draw(json_values)
    try:
        record_from_bytes(json.dumps(body).encode())
    except RecordUnreadable as error:
        assert str(error)


@given(st.binary(max_size=100))
def test_noise_is_unreadable(raw: bytes) -> None:
    """Any other bytes are refused with RecordUnreadable."""
    with pytest.raises(RecordUnreadable):
        record_from_bytes(raw)


def test_record_from_the_future_is_refused() -> None:
    """A newer version's record is not guessed at."""
    body = Record(Epoch(1, 1), 1).to_mapping() | {"schema": 2}
    with pytest.raises(RecordUnreadable, match="schema 2"):
        record_from_bytes(json.dumps(body).encode())


@given(epochs, epochs)
def test_epochs_are_ordered_as_pairs(one: Epoch, other: Epoch) -> None:
    """The counter counts first, then the node; raising always gives a higher one, also over the other node's."""
    assert (one < other) == ((one.counter, one.node) < (other.counter, other.node))
    top = max(one, other)
    assert top.raised_by(1) > one
    assert top.raised_by(2) > other
    assert top.raised_by(1) != top.raised_by(2)
