"""Which files may hold a mistake at all, told from their bytes. The others are never parsed.

This module is imported before anything else is known to be needed, so it imports nothing.
"""

# Parts of the names of losses, of activations and of what a mistake about them involves. Any
# identifier may hold them: `bce_loss`, `LogSoftmax`, `self.criterion`.
PARTS = (
    b"loss",
    b"criterion",
    b"entropy",
    b"softmax",
    b"softmin",
    b"sigmoid",
    b"nll",
    b"bce",
    b"kl_div",
    b"kldiv",
    b"backward",
    b"argmax",
)
# Handwritten softmax and cross entropy. As parts they would find `logging` and `expand`.
WORDS = (b" log ", b" exp ", b" log2 ", b" log10 ", b" log1p ", b" logsumexp ")

# Whatever is no letter, digit or underscore ends a word. So does a byte above 127: that tells a
# curly quote from nothing, and parses a file too many where an identifier is not ASCII.
SPACED = bytes(b if b < 128 and (chr(b).isalnum() or b == 95) else 32 for b in range(256))


def might_matter(data: bytes) -> bool:
    """Say whether a program or notebook may hold a mistake that some rule knows."""
    data = data.lower()
    for part in PARTS:
        if part in data:
            return True
    # In a notebook's JSON a line's first word follows the `n` of the escaped line end before it.
    words = b" " + data.replace(b"\\n", b" ").replace(b"\\t", b" ").translate(SPACED) + b" "
    return any(word in words for word in WORDS)
