"""Hashes of Arrow tables, computed on their buffers without conversion to Python objects."""

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa


class Hash(Protocol):
    """A hash object, as in `hashlib`."""

    def update(self, data: Any, /) -> None:
        """Adds bytes to the hash."""


def add_table(content: Hash, table: "pa.Table") -> None:
    """Adds the names, types and values of a table to a hash, but no unused memory of its buffers."""
    for name, column in zip(table.column_names, table.columns, strict=True):
        content.update(f"{name!r} ".encode("utf-8", "surrogatepass"))
        for chunk in column.chunks:
            _add(content, chunk)


def _add(content: Hash, array: "pa.Array") -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    content.update(f"{kind} {len(array)} ".encode())
    if array.null_count:  # the buffer of a null can have any value
        content.update(array.is_null().cast(pa.uint8()).to_numpy(zero_copy_only=False))
        array = array.drop_null()
    if is_binary(kind):
        plain = array.cast(pa.large_binary())
        _, ends, data = plain.buffers()
        offsets = np.frombuffer(ends, np.int64)[plain.offset : plain.offset + len(plain) + 1] if len(plain) else [0, 0]
        content.update(np.diff(offsets))
        content.update(memoryview(data or b"")[offsets[0] : offsets[-1]])
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        _add(content, pc.list_value_length(array))
        _add(content, array.flatten())
    elif pa.types.is_struct(kind):
        for part in array.flatten():
            _add(content, part)
    elif pa.types.is_boolean(kind):
        _add(content, array.cast(pa.uint8()))
    elif width := _byte_width(kind):
        buffer = array.buffers()[1]
        content.update(memoryview(buffer or b"")[array.offset * width : (array.offset + len(array)) * width])
    else:
        content.update(repr(array.to_pylist()).encode("utf-8", "surrogatepass"))


def is_binary(kind: "pa.DataType") -> bool:
    """Whether a type is strings or bytes of variable length."""
    import pyarrow as pa

    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
    )


def _byte_width(kind: "pa.DataType") -> int:
    """The size of a value in bytes; zero if it is variable."""
    try:
        return int(kind.bit_width) // 8
    except ValueError:
        return 0
