"""Changes of Arrow types, also inside of lists and structs."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def with_readable_times(kind: "pa.DataType") -> "pa.DataType":
    """The type with strings instead of times, some of which Python cannot represent."""
    import pyarrow as pa

    return _changed(kind, lambda leaf: pa.string() if pa.types.is_temporal(leaf) else leaf)


def without_views(kind: "pa.DataType") -> "pa.DataType":
    """The type without string views, which polars writes, and Parquet and most functions do not accept."""
    import pyarrow as pa

    def plain(leaf: pa.DataType) -> pa.DataType:
        if pa.types.is_string_view(leaf):
            return pa.large_string()
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
