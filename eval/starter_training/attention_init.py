"""Initialisation of the starter's decoder: some attention heads compute something from the start.

Previous-token heads and induction heads copy; pairs of heads in two layers pass on a token through a token between;
other heads carry or compare. From a random start copying is not learned in hours on a CPU; with this initialisation it
takes seconds. Only weights are set, so that any library loads the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

WIDTH, NUM_LAYERS, NUM_HEADS = 256, 6, 4
# Scale of what layers write at first: little, so that a token is still to be read many layers later.
_RESIDUAL = 0.03


@dataclass(frozen=True)
class Hop:
    """Place of supervised attention.

    Attributes:
        layer: Index of the decoder layer.
        heads: Indices of its supervised heads.
    """

    layer: int
    heads: tuple[int, ...]


HOPS = {
    # From the words that link a name to its object, to the object in the picture.
    "look": Hop(2, (2, 3)),
    # From the token before a type, to these words.
    "link": Hop(3, (2, 3)),
    # From the token before a type, to the affix and the words that point to a type.
    "read": Hop(4, (0, 1)),
    # From each token of a box, to these words and to the object.
    "follow": Hop(3, (2, 3)),
    "point": Hop(4, (2, 3)),
    # From a definition, to the label that it defines; early, while a token is still most of what stands at its place.
    "define": Hop(1, (2, 3)),
    # From the token before a type, to the definition.
    "name": Hop(5, (0, 1)),
}


def place_heads(decoder: Any, tokenizer: Any) -> None:
    """Set all weights of a decoder."""
    _initialise(decoder)
    _pair_spaced_tokens(decoder.embed_tokens.weight, tokenizer)
    _place_copying_heads(decoder)
    _relay(decoder, HOPS["look"], HOPS["link"], (0.25, 0.25))
    place_naming(decoder)
    _carry(decoder, HOPS["read"])
    _match(decoder, HOPS["name"])


def place_naming(decoder: Any) -> None:
    """Set the value and output weights of the heads that lead from a definition to its label; queries and keys stay."""
    _relay(decoder, HOPS["define"], HOPS["name"], (1.0, 2.0))


def _initialise(decoder: Any) -> None:
    """Set weights that keep the scale of their input; what is added to the residual is small."""
    import torch

    with torch.no_grad():
        for name, weight in decoder.named_parameters():
            if weight.ndim == 2:
                scale = _RESIDUAL if "o_proj" in name or "down_proj" in name else 1.0
                weight.normal_(0, scale * weight.shape[1] ** -0.5)


def _orthonormal(rows: int, width: int, away_from: Any) -> Any:
    """Return random orthonormal rows, orthogonal to a unit vector, ``(rows, width)``."""
    import torch

    random = torch.randn(width, rows)
    return torch.linalg.qr(random - away_from[:, None] * (away_from @ random))[0].T


def _place_copying_heads(decoder: Any, *, sharpness: float = 0.51, match: float = 1.6, copied: float = 0.4) -> None:
    """Set two previous-token heads in layer 0 and two induction heads in layer 1.

    One direction is made constant over all embeddings. From it the heads of layer 0 make a query and a key that do
    not depend on the token, so that after rotation their product is largest one and two positions back; they write what
    they read into subspaces of their own. The heads of layer 1 compare the current token with these subspaces, in
    the dimensions that rotate too slowly to tell positions apart, and copy the token that follows.

    Source: Olsson et al., "In-context Learning and Induction Heads", https://arxiv.org/abs/2209.11895, here used as an
    initialisation.
    """
    import torch

    size = WIDTH // NUM_HEADS
    half = size // 2
    speeds = 10000.0 ** (-torch.arange(half) / half)
    slow = _slow_dimensions()
    first, second = (decoder.layers[index].self_attn for index in (0, 1))
    with torch.no_grad():
        constant = torch.nn.functional.normalize(torch.randn(WIDTH), dim=0)
        table = decoder.embed_tokens.weight
        table.sub_((table @ constant)[:, None] * constant)
        table.div_(table.norm(dim=1, keepdim=True)).add_(constant)
        subspaces = _orthonormal(2 * len(slow), WIDTH, constant)
        query = torch.cat([torch.ones(half), torch.zeros(half)])
        for head, distance in enumerate((1, 2)):
            rows = slice(head * size, (head + 1) * size)
            own = slice(head * size, head * size + len(slow))
            key = torch.cat([torch.cos(speeds * distance), torch.sin(speeds * distance)])
            read = _orthonormal(len(slow), WIDTH, constant)
            written = subspaces[head * len(slow) : (head + 1) * len(slow)]
            first.q_proj.weight[rows] = sharpness * torch.outer(query, constant)
            first.k_proj.weight[rows] = sharpness * torch.outer(key, constant)
            first.v_proj.weight[rows] = 0
            first.v_proj.weight[own] = read
            first.o_proj.weight[:, rows] = 0
            first.o_proj.weight[:, own] = 0.063 * (WIDTH / len(slow)) ** 0.5 * written.T
            if head == 0:
                current, previous = read, written
        for head in (0, 1):
            rows = slice(head * size, (head + 1) * size)
            second.q_proj.weight[rows] = 0
            second.k_proj.weight[rows] = 0
            second.q_proj.weight[head * size + slow] = match * current
            second.k_proj.weight[head * size + slow] = match * previous
            value = _orthonormal(size, WIDTH, constant)
            second.v_proj.weight[rows] = value
            second.o_proj.weight[:, rows] = copied * value.T


def _relay(decoder: Any, first: Hop, second: Hop, strengths: tuple[float, float]) -> None:
    """Set two pairs of heads so that the second writes, unchanged, the token that the first reads.

    The first pair writes to a subspace of its own, which the second reads: the residual at the token between is not
    mixed in. Queries and keys are left to training.
    """
    import torch

    size = WIDTH // NUM_HEADS
    zero = torch.zeros(WIDTH)
    taken, handed = _orthonormal(2 * size, WIDTH, zero), _orthonormal(2 * size, WIDTH, zero)
    with torch.no_grad():
        both = ((first, taken, handed), (second, handed, taken))
        for (hop, read, written), strength in zip(both, strengths, strict=True):
            attention = decoder.layers[hop.layer].self_attn
            for number, head in enumerate(hop.heads):
                rows, part = slice(head * size, (head + 1) * size), slice(number * size, (number + 1) * size)
                attention.v_proj.weight[rows] = read[part]
                attention.o_proj.weight[:, rows] = strength * written[part].T


def _carry(decoder: Any, hop: Hop, *, strength: float = 0.25) -> None:
    """Set the value and output weights of heads so that they copy the residual that they attend to."""
    import torch

    size = WIDTH // NUM_HEADS
    attention = decoder.layers[hop.layer].self_attn
    with torch.no_grad():
        for head in hop.heads:
            rows, value = slice(head * size, (head + 1) * size), _orthonormal(size, WIDTH, torch.zeros(WIDTH))
            attention.v_proj.weight[rows] = value
            attention.o_proj.weight[:, rows] = strength * value.T


def _match(decoder: Any, hop: Hop, *, strength: float = 1.0) -> None:
    """Set queries and keys of heads so that they attend to tokens that are like the current one."""
    import torch

    size = WIDTH // NUM_HEADS
    slow = _slow_dimensions()
    attention = decoder.layers[hop.layer].self_attn
    with torch.no_grad():
        for head in hop.heads:
            rows = slice(head * size, (head + 1) * size)
            compared = _orthonormal(len(slow), WIDTH, torch.zeros(WIDTH))
            for projection in (attention.q_proj, attention.k_proj):
                projection.weight[rows] = 0
                projection.weight[head * size + slow] = strength * compared


def _slow_dimensions() -> Any:
    """Return the dimensions of a head that rotate too slowly to tell positions apart."""
    import torch

    half = WIDTH // NUM_HEADS // 2
    slow = torch.arange(half)[10000.0 ** (-torch.arange(half) / half) < 0.0075]
    return torch.cat([slow, slow + half])


def _pair_spaced_tokens(table: Any, tokenizer: Any) -> None:
    """Set embeddings of tokens with a space near those of the same tokens without, so that copying works for both."""
    import torch

    pieces = tokenizer.get_vocab()
    pairs = [(own, pieces[piece[1:]]) for piece, own in pieces.items() if piece[0] == "Ġ" and piece[1:] in pieces]
    spaced, plain = (list(side) for side in zip(*sorted(pairs), strict=True))
    with torch.no_grad():
        space = torch.nn.functional.normalize(torch.randn(table.shape[1]), dim=0) * table[plain].norm(dim=1).mean()
        table[spaced] = 0.75 * table[plain] + 0.4 * space + 0.5 * table[spaced]
