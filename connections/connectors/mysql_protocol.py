"""Prepared statements and server-side cursors of MySQL's protocol, which PyMySQL does not speak.

They are what makes a query safe there: the server takes one statement, says before it runs whether rows come back,
gets parameters apart from the text, and hands rows over in batches.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from pymysql.connections import Connection
from pymysql.constants import COMMAND, FIELD_TYPE
from pymysql.protocol import FieldDescriptorPacket, MysqlPacket

_READ_ONLY_CURSOR, _NO_CURSOR = 1, 0
_CURSOR_EXISTS, _LAST_ROW_SENT = 0x0040, 0x0080
_UNSIGNED, _BINARY_CHARSET = 0x20, 63
_IN_READ_ONLY_TRANSACTION = 0x2000

_FIXED = {
    FIELD_TYPE.TINY: "b",
    FIELD_TYPE.SHORT: "h",
    FIELD_TYPE.YEAR: "h",
    FIELD_TYPE.INT24: "i",
    FIELD_TYPE.LONG: "i",
    FIELD_TYPE.LONGLONG: "q",
    FIELD_TYPE.FLOAT: "f",
    FIELD_TYPE.DOUBLE: "d",
}
_DATES = (FIELD_TYPE.DATE, FIELD_TYPE.NEWDATE, FIELD_TYPE.DATETIME, FIELD_TYPE.TIMESTAMP)
_NAMES = {
    FIELD_TYPE.TINY: "tinyint",
    FIELD_TYPE.SHORT: "smallint",
    FIELD_TYPE.INT24: "mediumint",
    FIELD_TYPE.LONG: "int",
    FIELD_TYPE.LONGLONG: "bigint",
    FIELD_TYPE.DECIMAL: "decimal",
    FIELD_TYPE.NEWDECIMAL: "decimal",
    FIELD_TYPE.VAR_STRING: "varchar",
    FIELD_TYPE.VARCHAR: "varchar",
    FIELD_TYPE.STRING: "char",
    FIELD_TYPE.BLOB: "text",
    FIELD_TYPE.TINY_BLOB: "text",
    FIELD_TYPE.MEDIUM_BLOB: "text",
    FIELD_TYPE.LONG_BLOB: "text",
}
_BINARY_NAMES = {"varchar": "varbinary", "char": "binary", "text": "blob"}
_OTHER_NAMES = {
    getattr(FIELD_TYPE, name): name.lower()
    for name in (
        "FLOAT DOUBLE NULL TIMESTAMP DATE TIME DATETIME YEAR BIT JSON ENUM SET GEOMETRY".split()  # noqa: SIM905
    )
}


@dataclass(slots=True)
class Prepared:
    """A statement that the server has read: how many parameters it takes, what columns come back (none: no rows)."""

    number: int
    parameters: int
    columns: list[FieldDescriptorPacket]
    is_cursor: bool = False
    is_done: bool = False
    affected: int = 0


class Session(Connection):
    """A connection that also speaks prepared statements."""

    def prepare(self, sql: str) -> Prepared:
        """Have the server read one statement. Raises pymysql.Error for what it does not take."""
        self._execute_command(COMMAND.COM_STMT_PREPARE, sql)
        packet = self._read_packet()
        _, number, columns, parameters = packet.read_struct("<BIHH")
        self._definitions(parameters)
        return Prepared(number, parameters, self._definitions(columns))

    def execute(self, prepared: Prepared, params: Sequence[Any], *, cursor: bool) -> None:
        """Run it, with a server-side cursor if asked. Raises pymysql.Error."""
        flags = _READ_ONLY_CURSOR if cursor else _NO_CURSOR
        head = struct.pack("<IBI", prepared.number, flags, 1)
        self._execute_command(COMMAND.COM_STMT_EXECUTE, head + _encoded(params))
        packet = self._read_packet()
        if packet.is_ok_packet():
            packet.advance(1)
            prepared.affected = packet.read_length_encoded_integer() or 0
            prepared.is_done = True
            return
        if packet.is_load_local_packet():
            raise RuntimeError("the server asks for a file")
        # A procedure's columns are known only now.
        prepared.columns = self._definitions(packet.read_length_encoded_integer() or 0, status := [0])
        prepared.is_cursor = bool(status[0] & _CURSOR_EXISTS)

    def fetch(self, prepared: Prepared, count: int) -> list[list[Any]]:
        """Return the next rows, at most `count` of them; none at the end."""
        if prepared.is_done:
            return []
        if prepared.is_cursor:
            self._execute_command(COMMAND.COM_STMT_FETCH, struct.pack("<II", prepared.number, count))
        rows: list[list[Any]] = []
        while prepared.is_cursor or len(rows) < count:
            packet = self._read_packet()
            if packet.is_eof_packet():
                status = packet.read_struct("<BHH")[2]
                prepared.is_done = not prepared.is_cursor or bool(status & _LAST_ROW_SENT)
                break
            rows.append(_row(packet, prepared.columns))
        return rows

    def abandon(self) -> None:
        """Drop the socket: what the server still sends is not read, what is open there is rolled back."""
        self._force_close()

    def cut(self) -> None:
        """End the wait of the thread that reads, from another thread."""
        try:
            if self._sock is not None:
                self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it was closed meanwhile

    def is_read_only(self) -> bool:
        """Tell whether the server says that a read-only transaction is open."""
        return bool(self.server_status & _IN_READ_ONLY_TRANSACTION)

    def limit_reads(self, seconds: float | None) -> None:
        """Wait no longer than this for an answer of the server; None is for ever."""
        self._read_timeout = seconds

    def _definitions(self, count: int, status: list[int] | None = None) -> list[FieldDescriptorPacket]:
        """Read `count` column definitions and the packet that ends them."""
        if not count:
            return []
        found = [self._read_packet(FieldDescriptorPacket) for _ in range(count)]
        end = self._read_packet()
        if status is not None:
            status[0] = end.read_struct("<BHH")[2]
        return found


def type_name(column: FieldDescriptorPacket) -> str:
    """Return the type of a column as people write it."""
    name = _NAMES.get(column.type_code) or _OTHER_NAMES.get(column.type_code, "unknown")
    if column.charsetnr == _BINARY_CHARSET:
        return _BINARY_NAMES.get(name, name)
    return name


def _encoded(params: Sequence[Any]) -> bytes:
    """Return the parameters as COM_STMT_EXECUTE wants them: a bitmap of nulls, types, values."""
    if not params:
        return b""
    nulls = bytearray((len(params) + 7) // 8)
    types, values = b"", b""
    for index, value in enumerate(params):
        if value is None:
            nulls[index // 8] |= 1 << (index % 8)
            types += struct.pack("<BB", FIELD_TYPE.NULL, 0)
            continue
        kind, raw = _value(value)
        types += struct.pack("<BB", kind, 0)
        values += raw
    return bytes(nulls) + b"\x01" + types + values


def _value(value: Any) -> tuple[int, bytes]:
    if isinstance(value, bool):
        return FIELD_TYPE.TINY, struct.pack("<b", value)
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return FIELD_TYPE.LONGLONG, struct.pack("<q", value)
    if isinstance(value, float):
        return FIELD_TYPE.DOUBLE, struct.pack("<d", value)
    # Larger numbers as text, which MySQL compares and stores as the decimal that it says.
    kind = FIELD_TYPE.NEWDECIMAL if isinstance(value, int) else FIELD_TYPE.VAR_STRING
    text = value if isinstance(value, str) else json.dumps(value)
    return kind, _sized(text.encode())


def _sized(raw: bytes) -> bytes:
    if len(raw) < 251:
        return struct.pack("<B", len(raw)) + raw
    if len(raw) < 2**16:
        return struct.pack("<BH", 252, len(raw)) + raw
    return struct.pack("<BI", 253, len(raw))[:4] + raw if len(raw) < 2**24 else struct.pack("<BQ", 254, len(raw)) + raw


def _row(packet: MysqlPacket, columns: list[FieldDescriptorPacket]) -> list[Any]:
    packet.advance(1)
    nulls = packet.read((len(columns) + 9) // 8)
    return [
        None if nulls[(index + 2) // 8] >> ((index + 2) % 8) & 1 else _read(packet, column)
        for index, column in enumerate(columns)
    ]


def _read(packet: MysqlPacket, column: FieldDescriptorPacket) -> Any:
    code = column.type_code
    if code in _FIXED:
        letter = _FIXED[code]
        if column.flags & _UNSIGNED and letter.islower() and letter not in "fd":
            letter = letter.upper()
        (value,) = packet.read_struct(f"<{letter}")
        # A FLOAT has seven digits; what a double makes of it has more.
        return float(f"{value:.7g}") if code == FIELD_TYPE.FLOAT else value
    raw: bytes = packet.read_length_coded_string()
    if code in _DATES:
        return _moment(raw, is_date=code in (FIELD_TYPE.DATE, FIELD_TYPE.NEWDATE))
    if code == FIELD_TYPE.TIME:
        return _duration(raw)
    if code == FIELD_TYPE.BIT:
        return int.from_bytes(raw)
    if code in (FIELD_TYPE.DECIMAL, FIELD_TYPE.NEWDECIMAL):
        return Decimal(raw.decode())
    if code == FIELD_TYPE.JSON:
        return json.loads(raw)
    return raw if column.charsetnr == _BINARY_CHARSET else raw.decode("utf-8", "replace")


def _moment(raw: bytes, *, is_date: bool) -> Any:
    """Return a date or time; what Python can't hold (0000-00-00, day 0) as MySQL writes it."""
    year, month, day = struct.unpack("<HBB", raw[:4]) if raw else (0, 0, 0)
    hour, minute, second = struct.unpack("<BBB", raw[4:7]) if len(raw) >= 7 else (0, 0, 0)
    (micro,) = struct.unpack("<I", raw[7:11]) if len(raw) >= 11 else (0,)
    try:
        found = date(year, month, day)
    except ValueError:
        text = f"{year:04}-{month:02}-{day:02}"
        return text if is_date else f"{text} {hour:02}:{minute:02}:{second:02}"
    return found if is_date else datetime(year, month, day, hour, minute, second, micro)  # noqa: DTZ001  MySQL's have none


def _duration(raw: bytes) -> str:
    """Return a TIME as MySQL writes it: hours may pass 24 and be negative."""
    if not raw:
        return "00:00:00"
    negative, days, hour, minute, second = struct.unpack("<BIBBB", raw[:8])
    text = f"{'-' if negative else ''}{days * 24 + hour:02}:{minute:02}:{second:02}"
    if len(raw) >= 12:
        text += f".{struct.unpack('<I', raw[8:12])[0]:06}"
    return text
