"""Gates in the state database: who may run, and every change that ever was made."""

from __future__ import annotations

from pipeline.delivery.gate import Gate
from pipeline.state.pool import Connection, StateDatabase, storable

_COLUMNS = ("consumer", "state", "by", "actor", "reason", "until_ms", "probes_left", "changed_at_ms")
_LIST = ", ".join(_COLUMNS)
_VALUES = ", ".join(f"%({name})s" for name in _COLUMNS)
_INSERT = f"INSERT INTO omero_mq.gates ({_LIST}) VALUES ({_VALUES}) ON CONFLICT (consumer) DO NOTHING"
_UPDATE = f"UPDATE omero_mq.gates SET ({_LIST}) = ({_VALUES}) WHERE consumer = %(consumer)s"
_HISTORY = f"INSERT INTO omero_mq.gate_history ({_LIST}) VALUES ({_VALUES})"


class PostgresGateStore:
    """A `pipeline.delivery.gate.GateStore` that survives restarts and is shared by every process."""

    def __init__(self, database: StateDatabase) -> None:
        self._database = database

    def read(self, consumer: str) -> Gate:
        """See `GateStore.read`.

        Raises:
            DependencyDown, Misconfigured, Transient: as `pipeline.state.pool.translating` says; so for every method here.
        """
        with self._database.transaction() as connection:
            return _kept(connection, consumer) or Gate(consumer=consumer)

    def write(self, gate: Gate, *, instead_of: Gate) -> bool:
        """See `GateStore.write`; what cannot be stored as text (a NUL) is kept escaped."""
        values = {name: getattr(gate, name) for name in _COLUMNS}
        values |= {"actor": storable(gate.actor), "reason": storable(gate.reason)}
        with self._database.transaction() as connection:
            kept = _kept(connection, gate.consumer, lock=True)
            if (kept or Gate(consumer=gate.consumer)) != instead_of:
                return False
            # Two who both found no row: the second waits here for the first, and inserts nothing.
            if connection.execute(_UPDATE if kept else _INSERT, values).rowcount == 0:
                return False
            connection.execute(_HISTORY, values)
        return True

    def all(self) -> list[Gate]:
        """Every gate that was ever touched, in order of consumer."""
        with self._database.transaction() as connection:
            rows = connection.execute(f"SELECT {_LIST} FROM omero_mq.gates ORDER BY consumer").fetchall()
        return [_gate(row) for row in rows]

    def history(self, consumer: str, *, at_most: int = 20) -> list[Gate]:
        """What the gate was brought into, newest first."""
        with self._database.transaction() as connection:
            rows = connection.execute(
                f"SELECT {_LIST} FROM omero_mq.gate_history WHERE consumer = %s ORDER BY id DESC LIMIT %s", (consumer, at_most)
            ).fetchall()
        return [_gate(row) for row in rows]


def _kept(connection: Connection, consumer: str, *, lock: bool = False) -> Gate | None:
    sql = f"SELECT {_LIST} FROM omero_mq.gates WHERE consumer = %s" + (" FOR UPDATE" if lock else "")
    row = connection.execute(sql.encode(), (consumer,)).fetchone()
    return _gate(row) if row else None


def _gate(row: tuple[object, ...]) -> Gate:
    return Gate(**dict(zip(_COLUMNS, row, strict=True)))  # type: ignore[arg-type]  # the columns have the fields' types
