"""Frames between the trusted side and a worker: a JSON header and raw buffers, never pickle.

A frame is the prefix (magic, header length, payload length), the header as JSON, and the
payload: the bytes of every block, one after the other. The header's `blocks` give dtype and
shape of each. Whoever reads a frame allocates nothing that the prefix and the header have not
been checked for, so a hostile writer can waste a capped amount of memory and no more.
"""

from __future__ import annotations

import json
import math
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAGIC = b"LGr1"
PREFIX = struct.Struct("!4sII")
HEADER_CAP = 4 << 20
PAYLOAD_CAP = 64 << 20
RANK_CAP = 16
# Each value of a returned list is one: [tensor(0.97), tensor(0.88), ...].
BLOCK_CAP = 4096

ITEM_BYTES = {
    "bool": 1,
    "uint8": 1,
    "int8": 1,
    "int16": 2,
    "uint16": 2,
    "int32": 4,
    "uint32": 4,
    "int64": 8,
    "uint64": 8,
    "float16": 2,
    "float32": 4,
    "float64": 8,
}


# Made once: `json.dumps` makes an encoder for each call with options.
_encode = json.JSONEncoder(separators=(",", ":")).encode


class ProtocolError(Exception):
    """A frame that breaks the rules above."""


class Block(NamedTuple):
    """An array as it crosses: native byte order, C order."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


def pack(header: dict[str, Any], blocks: Sequence[Block] = ()) -> bytes:
    """Return one frame of `header` and `blocks`."""
    described = [{"dtype": block.dtype, "shape": list(block.shape)} for block in blocks]
    encoded = _encode({**header, "blocks": described}).encode()
    payload = sum(len(block.data) for block in blocks)
    if len(blocks) > BLOCK_CAP:
        raise ProtocolError(f"a frame of {len(blocks):,} arrays, more than {BLOCK_CAP:,}")
    if len(encoded) > HEADER_CAP or payload > PAYLOAD_CAP:
        raise ProtocolError(
            f"a frame of {len(encoded) + payload:,} bytes is larger than "
            f"{PAYLOAD_CAP >> 20} MiB, the most that is carried"
        )
    prefix = PREFIX.pack(MAGIC, len(encoded), payload)
    return b"".join((prefix, encoded, *(block.data for block in blocks)))


def lengths(prefix: bytes) -> tuple[int, int]:
    """Return the byte lengths of header and payload that `prefix` announces.

    Raises:
        ProtocolError: not a prefix, or a length over its cap.
    """
    if len(prefix) != PREFIX.size or not prefix.startswith(MAGIC):
        raise ProtocolError("bytes that are no frame")
    _, header, payload = PREFIX.unpack(prefix)
    if header > HEADER_CAP or payload > PAYLOAD_CAP:
        raise ProtocolError(f"a frame of {header + payload:,} bytes, over the cap")
    return header, payload


def receive(exactly: Callable[[int], bytes]) -> tuple[dict[str, Any], list[Block]]:
    """Return header and blocks of the next frame; `exactly` reads that many bytes.

    Raises:
        ProtocolError: bytes that are no frame.
    """
    header_bytes, payload_bytes = lengths(exactly(PREFIX.size))
    return unpack(exactly(header_bytes), exactly(payload_bytes))


def unpack(encoded: bytes, payload: bytes) -> tuple[dict[str, Any], list[Block]]:
    """Return header and blocks, once every size agrees.

    Raises:
        ProtocolError: no JSON object, an unknown dtype, or sizes that do not add up.
    """
    try:
        header = json.loads(encoded.decode())
        described = header.pop("blocks")
        if not isinstance(described, list) or len(described) > BLOCK_CAP:
            raise ProtocolError("a header whose blocks are no list, or too many")
        blocks = []
        start = 0
        for description in described:
            dtype, shape = description["dtype"], description["shape"]
            if dtype not in ITEM_BYTES or not isinstance(shape, list) or len(shape) > RANK_CAP:
                raise ProtocolError("a block of unknown dtype or shape")
            for size in shape:
                if type(size) is not int or not 0 <= size < 1 << 40:
                    raise ProtocolError("a block whose shape is not made of sizes")
            end = start + math.prod(shape) * ITEM_BYTES[dtype]
            if end > len(payload):
                raise ProtocolError("a block longer than its payload")
            blocks.append(Block(dtype, tuple(shape), payload[start:end]))
            start = end
    except ProtocolError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ProtocolError(f"a header that cannot be read ({type(error).__name__})") from None
    if start != len(payload):
        raise ProtocolError("bytes that belong to no block")
    return header, blocks
