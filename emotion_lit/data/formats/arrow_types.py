"""Changes of Arrow types, also inside of lists and structs."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


# The first major version of pyarrow that writes them to Parquet.
FIXED_SIZE_LISTS_WITH_NULLS = 26


def with_readable_times(kind: "pa.DataType") -> "pa.DataType":
    """The type with strings instead of times, some of which Python cannot represent."""
    import pyarrow as pa

    return _changed(kind, lambda leaf: pa.string() if pa.types.is_temporal(leaf) else leaf)


def writable_type(kind: "pa.DataType") -> "pa.DataType":
    """The type without what Parquet and most functions do not accept: string views, which polars writes.

    Before version 26, pyarrow does not write lists of a fixed size that contain nulls; they become lists of any size.
    """
    import pyarrow as pa

    fixed = int(pa.__version__.partition(".")[0]) >= FIXED_SIZE_LISTS_WITH_NULLS

    def plain(leaf: pa.DataType) -> pa.DataType:
        if pa.types.is_string_view(leaf):
            return pa.large_string()
        if pa.types.is_fixed_size_list(leaf) and not fixed:
            return pa.list_(leaf.value_field)
        return pa.large_binary() if pa.types.is_binary_view(leaf) else leaf

    return _changed(kind, plain)


def _changed(kind: "pa.DataType", change: "Callable[[pa.DataType], pa.DataType]") -> "pa.DataType":
    import pyarrow as pa

    def of(field: "pa.Field") -> "pa.Field":
        return field.with_type(_changed(field.type, change))

    if pa.types.is_struct(kind):
        return pa.struct([of(kind.field(place)) for place in range(kind.num_fields)])
    for is_list, make in ((pa.types.is_list, pa.list_), (pa.types.is_large_list, pa.large_list)):
        if is_list(kind):
            return make(of(kind.value_field))
    return change(kind)
