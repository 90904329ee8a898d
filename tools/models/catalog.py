"""The models that can be fetched, as catalog.json has them."""

import dataclasses
import json
import pathlib

FILE = pathlib.Path(__file__).resolve().parent / "catalog.json"


@dataclasses.dataclass(frozen=True)
class Model:
    name: str
    about: str
    licence: str
    packages: list[str]  # "name==version", in the order in which their pieces are joined
    member: str          # which file of a package is a piece, as a pattern
    bytes: int
    sha256: str
    file: str            # what it is called in the folder of models

    def there(self, folder: pathlib.Path) -> bool:
        """The content was checked before it got its name; its size tells that it is whole."""
        path = folder / self.file
        return path.is_file() and path.stat().st_size == self.bytes


def read(path: pathlib.Path = FILE) -> dict[str, Model]:
    models = {}
    for name, entry in json.loads(path.read_text()).items():
        parts = entry.pop("parts", None)
        named = entry.pop("packages")
        packages = [named] if parts is None else [named.format(i + 1) for i in range(parts)]
        models[name] = Model(name=name, packages=packages, file=entry.pop("file", f"{name}.gguf"), **entry)
    return models


def readable(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"


def table(models: dict[str, Model], folder: pathlib.Path) -> str:
    """One line for each model of the catalogue, and for each other file in the folder."""
    rows = [("name", "size", "licence", "file", "what")]
    for model in models.values():
        where = str(folder / model.file) if model.there(folder) else "not fetched"
        rows.append((model.name, readable(model.bytes), model.licence, where, model.about))
    known = {model.file for model in models.values()} | {f"{name}.gguf" for name in models}
    for path in sorted(folder.glob("*.gguf")):
        if path.name not in known and path.is_file():
            link = f"a link to {path.readlink()}" if path.is_symlink() else ""
            rows.append((path.stem, readable(path.stat().st_size), "", str(path), link))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = ["  ".join([*(text.ljust(width) for text, width in zip(row, widths)), row[4]]).rstrip() for row in rows]
    return "\n".join(lines) + "\n"
