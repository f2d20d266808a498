"""Edits of the sums and maxima that a handwritten softmax is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lossgrade_checks.finding import Edit
from lossgrade_checks.fixes import operand_of

if TYPE_CHECKING:
    import libcst as cst

    from lossgrade_checks.fixes import Patch
    from lossgrade_checks.meaning.values import Site


def axis_argument(patch: Patch, call: cst.Call, *, method: bool) -> cst.Arg | None:
    """Return the argument that names the axis of a softmax, a sum or a maximum."""
    position = 0 if method else 1
    return patch.argument(call, position, "dim") or patch.argument(call, position, "axis")


def is_method(call: cst.Call) -> bool:
    """Whether a reduction is a method of its tensor: `e.sum(1)`, not `torch.sum(e, 1)`."""
    return operand_of(call) is getattr(call.func, "value", None)


def keeping(patch: Patch, site: Site | None, *, numpy: bool) -> tuple[Edit, ...] | None:
    """Return the edits by which the reduction at `site` keeps the axis that it runs over."""
    call = patch.call(site)
    if call is None or any(arg.star for arg in call.args):
        return None
    named = {arg.keyword.value for arg in call.args if arg.keyword is not None}
    # PyTorch takes NumPy's names too; what is spelled by one library's stays with it.
    spelled = "keepdims" if "axis" in named or "keepdims" in named else "keepdim"
    if not named & {"axis", "dim", "keepdim", "keepdims"}:
        spelled = "keepdims" if numpy else "keepdim"
    return (patch.set_keyword(call, spelled, "True"),)


def maximum_of(
    patch: Patch, call: cst.Call, operand: cst.BaseExpression, dim: object, *, numpy: bool
) -> str | None:
    """Return the text of the maximum of `operand` over `dim`, with the axis kept.

    `call` is a call of the same library: `np.exp(z)`, whose module is named alike.
    """
    import libcst as cst

    named = isinstance(operand, cst.Name | cst.Attribute | cst.Subscript)
    if not named or not (isinstance(dim, int) or dim == "all"):
        # Anything else would be computed twice.
        return None
    tensor = patch.source(operand)
    if not numpy:
        return f"{tensor}.amax(dim={dim}, keepdim=True)" if dim != "all" else f"{tensor}.max()"
    module = getattr(call.func, "value", None)
    axis = f", axis={dim}, keepdims=True" if dim != "all" else ""
    if is_method(call) or not isinstance(module, cst.Name):
        return f"{tensor}.max({axis.removeprefix(', ')})"
    return f"{module.value}.max({tensor}{axis})"


def along_rows(patch: Patch, site: Site | None, *, numpy: bool) -> tuple[Edit, ...] | None:
    """Return the edits by which a reduction over axis 0 runs over axis 1 and keeps it."""
    call = patch.call(site)
    if call is None:
        return None
    axis = axis_argument(patch, call, method=is_method(call))
    kept = keeping(patch, site, numpy=numpy)
    if axis is None or kept is None:
        return None
    number = patch.replace(axis.value, "1")
    named = {arg.keyword.value for arg in call.args if arg.keyword is not None}
    return (number,) if named & {"keepdim", "keepdims"} else _together(number, *kept)


def _together(number: Edit, keep: Edit) -> tuple[Edit, ...]:
    # Two edits that touch become one: edits never overlap.
    if number.end == keep.start:
        return (Edit(number.start, keep.end, number.content + keep.content),)
    return (number, keep)
