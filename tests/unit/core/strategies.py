"""Hypothesis strategies for the vocabulary."""

from hypothesis import strategies as st

from ishmael.core.messages import Accept, Beat, Go, Nonce, Offer, Refuse, SwitchWanted, Withdraw
from ishmael.words.record import Epoch, Record
from ishmael.words.roles import Role

numbers = st.integers(min_value=0, max_value=2**53)
ids = st.integers(min_value=0, max_value=2**31)
epochs = st.builds(Epoch, numbers, ids)
records = st.builds(
    Record,
    epoch=epochs,
    master=ids,
    taking=st.booleans(),
    standby=st.frozensets(ids, max_size=2),
    slave_fit=st.booleans(),
    revision=numbers,
)
nonces = st.builds(Nonce, numbers, numbers)
beats = st.builds(
    Beat,
    nonce=nonces,
    echo=st.none() | nonces,
    role=st.sampled_from(Role),
    record=st.none() | records,
    fit=st.booleans(),
    able=st.booleans(),
    unable_because=st.text(max_size=80),
    question=st.booleans(),
    references_good=st.integers(0, 100),
    hold=st.booleans(),
)
messages = st.one_of(
    beats,
    st.builds(Offer, nonces, epochs),
    st.builds(Accept, nonces, nonces),
    st.builds(Refuse, nonces, st.text(max_size=80)),
    st.builds(Go, nonces, nonces),
    st.builds(Withdraw, nonces),
    st.builds(SwitchWanted, st.text(max_size=80)),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
