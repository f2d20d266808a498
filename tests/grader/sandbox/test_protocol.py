"""Frames: what is packed comes out bit by bit, and no bytes do more than raise ProtocolError."""

from __future__ import annotations

import json
import math
import struct
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lossgrade.sandbox import protocol
from lossgrade.sandbox.protocol import Block, ProtocolError

SHAPES = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    """Draw a block of any dtype; the bytes are any too, so that every NaN comes up."""
    dtype, shape = draw(st.sampled_from(sorted(protocol.ITEM_BYTES))), draw(SHAPES)
    size = math.prod(shape) * protocol.ITEM_BYTES[dtype]
    return Block(dtype, shape, draw(st.binary(min_size=size, max_size=size)))


def taken_apart(frame: bytes) -> tuple[dict[str, Any], list[Block]]:
    """Read a frame as both sides do: prefix, header, payload, nothing left over."""
    size = protocol.PREFIX.size
    header, payload = protocol.lengths(frame[:size])
    assert len(frame) == size + header + payload
    return protocol.unpack(frame[size : size + header], frame[size + header :])


@given(st.dictionaries(st.text(), PLAIN, max_size=4), st.lists(blocks(), max_size=4))
def test_what_is_packed_comes_out(header: dict[str, Any], sent: list[Block]) -> None:
    header.pop("blocks", None)
    found, received = taken_apart(protocol.pack(header, sent))
    # As JSON, where NaN equals itself.
    assert json.dumps(found) == json.dumps(header)
    assert received == sent


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_special_numbers_are_exact_to_the_bit(dtype: str) -> None:
    values = np.array([math.nan, -math.nan, math.inf, -math.inf, -0.0, 5e-324, 1 / 3], dtype)
    values[0:1].view(f"u{values.itemsize}")[0] ^= 3  # a NaN with a payload of its own
    _, [block] = taken_apart(protocol.pack({}, [Block(dtype, values.shape, values.tobytes())]))
    assert block.data == values.tobytes()


@given(st.binary(max_size=32))
def test_any_prefix_is_two_lengths_under_their_caps_or_an_error(prefix: bytes) -> None:
    try:
        header, payload = protocol.lengths(prefix)
    except ProtocolError:
        return
    assert prefix[:4] == protocol.MAGIC
    assert header <= protocol.HEADER_CAP
    assert payload <= protocol.PAYLOAD_CAP


@pytest.mark.parametrize(
    ("header", "payload", "fits"),
    [
        (protocol.HEADER_CAP, protocol.PAYLOAD_CAP, True),
        (protocol.HEADER_CAP + 1, 0, False),
        (0, protocol.PAYLOAD_CAP + 1, False),
        (2**32 - 1, 2**32 - 1, False),
    ],
)
def test_lengths_are_capped_each(header: int, payload: int, fits: bool) -> None:
    prefix = struct.pack("!4sII", b"LGr1", header, payload)
    if fits:
        assert protocol.lengths(prefix) == (header, payload)
    else:
        with pytest.raises(ProtocolError, match="over the cap"):
            protocol.lengths(prefix)


@given(st.binary(max_size=64) | PLAIN.map(lambda value: json.dumps(value).encode()), st.binary())
def test_any_header_is_read_or_refused(encoded: bytes, payload: bytes) -> None:
    try:
        header, received = protocol.unpack(encoded, payload)
    except ProtocolError:
        return
    assert isinstance(header, dict)
    assert sum(len(block.data) for block in received) == len(payload)


SIZES = st.integers(-2, 4) | st.sampled_from([2**39, 2**40, 2**63, True, 2.0, "2", None, [2]])
DESCRIPTIONS = st.fixed_dictionaries(
    {"dtype": st.sampled_from([*protocol.ITEM_BYTES, "object", "O", "S9", "complex64", 3, [], {}])},
    optional={"shape": st.lists(SIZES, max_size=18) | st.sampled_from([None, 3, "22", {"0": 2}])},
)


@given(st.lists(DESCRIPTIONS | PLAIN, max_size=3) | PLAIN, st.binary(max_size=64))
def test_any_description_of_blocks_is_met_or_refused(described: object, payload: bytes) -> None:
    try:
        _, received = protocol.unpack(json.dumps({"blocks": described}).encode(), payload)
    except ProtocolError:
        return
    for block in received:
        assert all(type(size) is int and size >= 0 for size in block.shape)
        assert len(block.data) == math.prod(block.shape) * protocol.ITEM_BYTES[block.dtype]
    assert b"".join(block.data for block in received) == payload


def described(dtype: object = "uint8", shape: object = (4,)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape}


@pytest.mark.parametrize(
    "described",
    [
        pytest.param([described(shape=[-4, -1])], id="two negative sizes"),
        pytest.param([described(shape=[True, 4])], id="a bool for a size"),
        pytest.param([described(shape=[4.0])], id="a float for a size"),
        pytest.param([described(shape=[2**40, 0]), described()], id="a size over the cap"),
        pytest.param([described(shape=[1] * 17 + [4])], id="17 axes"),
        pytest.param([described(shape=[5])], id="longer than the payload"),
        pytest.param([described(shape=[3])], id="a byte left over"),
        pytest.param([described("object")], id="an object dtype"),
        pytest.param([described(["uint8"])], id="a list for a dtype"),
        pytest.param([described(shape="4")], id="text for a shape"),
        pytest.param({"0": described()}, id="a dict of blocks"),
        pytest.param([described(shape=[0])] * 4096 + [described()], id="4,097 blocks"),
        pytest.param(None, id="no blocks"),
    ],
)
def test_a_header_that_lies_about_its_blocks_is_refused(described: object) -> None:
    with pytest.raises(ProtocolError):
        protocol.unpack(json.dumps({"blocks": described}).encode(), b"1234")


@pytest.mark.parametrize(
    "encoded",
    [
        pytest.param(b"[" * (protocol.HEADER_CAP // 2), id="deep lists"),
        pytest.param(b'{"blocks":' * 100_000, id="deep objects"),
        pytest.param(b'{"blocks":[],"n":' + b"9" * 5000 + b"}", id="a number of 5,000 digits"),
        pytest.param(b"\xff\xfe{", id="no UTF-8"),
        pytest.param(b'"blocks"', id="a string"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"null", id="null"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_a_header_that_is_no_object_is_refused(encoded: bytes) -> None:
    with pytest.raises(ProtocolError):
        protocol.unpack(encoded, b"")


def test_a_claim_of_terabytes_allocates_nothing() -> None:
    encoded = json.dumps({"blocks": [described("float64", [2**39] * 16)]}).encode()
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError, match="longer than its payload"):
            protocol.unpack(encoded, bytes(64))
        assert tracemalloc.get_traced_memory()[1] < 1 << 16
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("header", "sent", "says"),
    [
        ({"text": "x" * protocol.HEADER_CAP}, [], "larger than 64 MiB"),
        ({}, [Block("uint8", (1,), bytes(protocol.PAYLOAD_CAP + 1))], "larger than 64 MiB"),
        ({}, [Block("uint8", (0,), b"")] * 4097, "4,097 arrays, more than 4,096"),
    ],
    ids=["header", "payload", "blocks"],
)
def test_what_the_other_side_would_refuse_is_not_packed(
    header: dict[str, Any], sent: list[Block], says: str
) -> None:
    with pytest.raises(ProtocolError, match=says):
        protocol.pack(header, sent)


def test_the_largest_frame_passes() -> None:
    block = Block("uint8", (protocol.PAYLOAD_CAP,), bytes(protocol.PAYLOAD_CAP))
    assert taken_apart(protocol.pack({}, [block])) == ({}, [block])
