"""Values that another system's file has under a name of ours, and that are ignored. Pure."""

from config.environment.errors import Problem
from config.environment.resolve import FILE_ENDING, Findings, Layer

DATABASE, SECRET, REFRESH_SECRET = "DATABASE_URL", "JWT_SECRET", "JWT_REFRESH_SECRET"


def drop_foreign_values(layers: tuple[Layer, ...], found: Findings) -> tuple[Layer, ...]:
    """`layers` without values that are meant for another system. Adds a warning for each."""
    names = {name for layer in layers for name in layer}
    left = tuple(
        {name: given for name, given in layer.items() if not _is_of_sqlalchemy(name, given.text)}
        for layer in layers
    )
    if any(
        DATABASE in layer and DATABASE not in kept for layer, kept in zip(layers, left, strict=True)
    ):
        what = "is ignored: it is the database of another program (the form with + is SQLAlchemy's)"
        fix = "write postgres://… for a database of Gatehouse's own, or keep the SQLite file"
        found.warnings.append(Problem(DATABASE, what, fix))
    if SECRET not in names or {REFRESH_SECRET, f"{REFRESH_SECRET}{FILE_ENDING}"} & names:
        return left
    # Mage has one secret of this name, LibreChat two.
    what = "has no effect without JWT_REFRESH_SECRET; tokens are signed with generated keys"
    found.warnings.append(Problem(SECRET, what, "set both, or remove it"))
    return tuple({name: given for name, given in layer.items() if name != SECRET} for layer in left)


def _is_of_sqlalchemy(name: str, text: str) -> bool:
    scheme, colon, _rest = text.partition("://")
    return name == DATABASE and bool(colon) and "+" in scheme
