"""Joins the files of shards to the file that one command would have written."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from emotion_lit.errors import UserError
from emotion_lit.inference.output_paths import rejects_file
from emotion_lit.inference.output_state import Counts
from emotion_lit.inference.part_files import Part, file_sha256
from emotion_lit.inference.shard import FirstEngine, Shard, ShardContent, content_file
from emotion_lit.inference.shard_files import ShardFile, join_files
from emotion_lit.inference.writers import concatenate
from emotion_lit.utils.console import say
from emotion_lit.utils.files import atomic_path
from emotion_lit.utils.names import listed


def join(paths: Sequence[Path], output: Path | None = None, overwrite: bool = False) -> None:
    """Joins shards, after checking that all of them are there, whole, and made from the same.

    Args:
        paths: The files of the shards in any order, or the file to write, next to which they are.
        output: The file to write; by default the name of the shards without their numbers.
        overwrite: Whether a file that is there may be replaced.

    Raises:
        UserError: A shard is missing, damaged, or made from something else, or the output cannot be written.
    """
    files, output = _found(paths, output)
    rejects = rejects_file(output)
    _check_output(files, output, rejects)
    shards = _in_order(files, output)
    _check_alike(shards)
    for file, content in shards:
        _check_whole(file, content)
    for one in (output, rejects):
        if one.exists() and not overwrite:
            raise UserError(f"{one} already exists; give another --output, or --overwrite true")
    counts = sum((_counts(content) for _, content in shards), Counts())
    try:
        with atomic_path(output) as path:
            join_files(shards, path)
        if counts.rejects:
            with atomic_path(rejects) as path:
                concatenate([rejects_file(file) for file, content in shards if content.rejects_sha256], path)
        else:
            rejects.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{output} cannot be written: {error.strerror or error}") from error
    FirstEngine(output, {}).file.unlink(missing_ok=True)
    counts.report(str(output), str(rejects), f" of {len(shards)} shards", "; the shards are kept")


def _found(paths: Sequence[Path], output: Path | None) -> tuple[list[Path], Path]:
    """The files of the shards, and the file to write."""
    for path in paths:
        if not path.name or path.is_dir():
            raise UserError(f"{path} is a folder; name the --prediction.path of the shards, or their files")
    named = [(path, Shard.of_file(path)) for path in paths]
    if len(paths) == 1 and named[0][1] is None:
        whole = paths[0]
        pattern = f"{whole.stem}-*-of-*{whole.suffix}"
        files = [file for file in whole.parent.glob(pattern) if _is_shard_of(file, whole)] if whole.stem else []
        if not files:
            raise UserError(
                f"there are no shards of {whole}, such as {Shard(1, 3).file(whole).name}; make them with predict "
                f"--prediction.path {whole} --prediction.shard 1/3 and so on, or name their files"
            )
        return files, output or whole
    for path, shard in named:
        if shard is None:
            raise UserError(f"{path} is not named as a shard, such as {Shard(1, 3).file(path).name}")
    return list({path.resolve(): path for path in paths}.values()), output or _whole_of(paths[0])


def _check_output(files: Sequence[Path], output: Path, rejects: Path) -> None:
    """Checks that the output has the format of all shards, and is none of their files."""
    kinds = sorted({file.suffix for file in files})
    if len(kinds) > 1:
        raise UserError(
            f"there are shards of {' and '.join(kinds)}, which are not of one output; name those of one format"
        )
    if output.suffix != kinds[0]:
        raise UserError(f"the shards are {kinds[0]}, so --output {output} should end in {kinds[0]} too")
    read = {one.resolve() for file in files for one in (file, rejects_file(file), content_file(file))}
    for one in (output, rejects):
        if one.resolve() in read:
            raise UserError(f"{one} belongs to a shard, and would be overwritten; give another --output")


def _whole_of(file: Path) -> Path:
    return file.with_name(f"{file.stem.rsplit('-', 3)[0]}{file.suffix}")


def _is_shard_of(file: Path, whole: Path) -> bool:
    shard = Shard.of_file(file)
    return shard is not None and shard.file(whole) == file


def _in_order(files: Iterable[Path], output: Path) -> list[ShardFile]:
    """The shards by their numbers.

    Raises:
        UserError: One is missing, there twice, or not of the same number of shards.
    """
    shards = sorted(((file, ShardContent.read(file)) for file in files), key=lambda one: one[1].shard)
    counts = sorted({content.shard[1] for _, content in shards})
    if len(counts) > 1:
        raise UserError(
            f"there are shards of {listed([f'{count} parts' for count in counts])}, which are not of one labeling; "
            "name the files that belong together"
        )
    there = [content.shard[0] for _, content in shards]
    missing = sorted(set(range(1, counts[0] + 1)) - set(there))
    if missing:
        names = listed([f"{number}/{counts[0]}" for number in missing])
        one = len(missing) == 1
        raise UserError(
            f"shard{'' if one else 's'} {names} of {output} {'is' if one else 'are'} missing; make "
            f"{'it' if one else 'them'} with the same predict command and --prediction.shard {missing[0]}/{counts[0]}"
            f"{'' if one else ' and so on'}"
        )
    twice = next((number for number in there if there.count(number) > 1), None)
    if twice is not None:
        same = [str(file) for file, content in shards if content.shard[0] == twice]
        raise UserError(f"{' and '.join(same)} are both shard {twice}/{counts[0]}; name one of them")
    return shards


def _check_alike(shards: Sequence[ShardFile]) -> None:
    (first, reference), *others = shards
    for file, content in others:
        keys = [key for key in reference.made_from if content.made_from.get(key) != reference.made_from[key]]
        if keys or content.columns != reference.columns:
            what = " and ".join(keys or ["the columns"])
            raise UserError(
                f"{file} and {first} differ in {what}, so they are not parts of one output; label one of them again "
                "with the command of the other and --prediction.overwrite true"
            )
    engines = sorted({content.engine for _, content in shards})
    if len(engines) > 1:
        say(f"warning: the shards were computed by {listed(engines)}, whose probabilities differ a little")


def _check_whole(file: Path, content: ShardContent) -> None:
    for part, sha256 in ((file, content.sha256), (rejects_file(file), content.rejects_sha256)):
        if sha256 and file_sha256(part) != sha256:
            state = "is not the file that was written" if part.exists() else "is missing"
            shard = Shard(*content.shard)
            raise UserError(
                f"{part} {state}; copy it again, or label it again with --prediction.shard {shard} and "
                "--prediction.overwrite true"
            )


def _counts(content: ShardContent) -> Counts:
    parts = [Part(**part) for part in content.parts.values()]
    return sum((Counts(one.rows, one.rejects, one.unlabeled, one.first_unlabeled or 0) for one in parts), Counts())
