"""All nine logs as one table that SQL can ask: DuckDB, in this process or in a file of its own."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clew.core.errors import ClewError
from clew.core.lines import LATEST, NUMBER_FIELDS, TEXT_FIELDS, Line, parse_line
from clew.stacks.drivers import Driver

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

FIELDS = {
    "ts": "DOUBLE",
    "message": "VARCHAR",
    **dict.fromkeys(TEXT_FIELDS, "VARCHAR"),
    **dict.fromkeys(NUMBER_FIELDS, "DOUBLE"),
    "status_code": "INTEGER",
    "upstream": "VARCHAR",
    "upstream_status": "VARCHAR",
    "exception": "VARCHAR",
}
# What SQL reads; all else is left to `parse_line`, which decides what a log line is: flat, each field of its type.
PLAIN = f"""line LIKE '{{%' AND line NOT LIKE '_%{{%' AND line NOT LIKE '%[%' AND json_valid(line)
    AND json_type(line, '$.ts') IN ('DOUBLE', 'UBIGINT') AND json_type(line, '$.message') = 'VARCHAR'
    AND NOT regexp_matches(line, '"({"|".join(TEXT_FIELDS)})" *: *[^"n ]|"({"|".join(NUMBER_FIELDS)})" *: *[^0-9 ]')"""
UNREAD = f"ts IS NULL OR ts > {LATEST}"
SEPARATOR = "\x01"  # in no line that was saved, so that a line is one column
LONGEST_LINE = 16 * 1024 * 1024

# A line without a time follows its service's previous line; nginx cuts its times, and writes after the server it asked.
VIEWS = """
UPDATE parsed SET ts = before.ts FROM (
    SELECT untimed.nr, service, timed.ts
    FROM (SELECT nr, service FROM parsed WHERE ts IS NULL) AS untimed
    ASOF JOIN (SELECT nr, service, ts FROM parsed WHERE ts IS NOT NULL) AS timed USING (service, nr)
) AS before
WHERE (parsed.nr, parsed.service) = (before.nr, before.service);
CREATE TABLE logs AS
SELECT coalesce(ts, 0) AS ts, coalesce(ts, 0) - coalesce(request_time, 0) AS began, service,
       coalesce(level, 'INFO') AS level, message, * EXCLUDE (nr, ts, service, level, message)
FROM parsed ORDER BY ts + CASE WHEN request_time IS NULL THEN 0 ELSE 0.000999 END, service, nr;
DROP TABLE lines;
DROP TABLE parsed;
CREATE VIEW hops AS SELECT * FROM logs WHERE hop IS NOT NULL;
CREATE MACRO request(id) AS TABLE
SELECT * FROM logs
WHERE id IN (correlation_id, request_id, task_id)
   OR task_id IN (SELECT task_id FROM logs WHERE id IN (correlation_id, request_id))
ORDER BY began;
"""


def save(driver: Driver, folder: Path) -> dict[str, Path]:
    """Write each service's lines into a file in `folder`; return the files."""
    return write(driver.logs(), folder)


def write(logs: Mapping[str, Iterable[str]], folder: Path) -> dict[str, Path]:
    """Write lines into a file a service in `folder`, as `database` can read them; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for service, texts in logs.items():
        files[service] = folder / f"{service}.log"
        text = "".join(f"{line}\n" for line in texts if line.strip())
        files[service].write_text(text.replace(SEPARATOR, "\\u0001").replace("\r", "\\r"), "utf-8", "replace", "\n")
    return files


def of_lines(lines: Iterable[Line]) -> DuckDBPyConnection:
    """Return a database of log lines that were read already.

    Raises:
        ClewError: duckdb is not installed.
    """
    texts: dict[str, list[str]] = {}
    for line in lines:
        texts.setdefault(line["service"], []).append(json.dumps(line))
    with tempfile.TemporaryDirectory() as folder:
        return database(write(texts, Path(folder)))


def cell(value: Any) -> str:
    """Return a value of a query's result as text."""
    return "" if value is None else f"{value:.6f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def database(files: Mapping[str, Path], to: Path | None = None) -> DuckDBPyConnection:
    """Return a connection to a database with the table `logs`: a row for each line of these services' log files.

    It has the fields of FIELDS, and `began`: the time of the event, which for nginx is `request_time` before the line.
    A line that is not JSON has its text as `message`, and without a time that of its service's previous line. The view
    `hops` has the lines of the five hand-offs, `request('…')` the lines of one ID and of its tasks.

    Raises:
        ClewError: duckdb is not installed.
    """
    try:
        import duckdb
    except ModuleNotFoundError:
        raise ClewError("duckdb is not installed.", "python3 stack/bootstrap.py run sql") from None
    connection = duckdb.connect(str(to) if to else ":memory:")
    connection.execute("CREATE TABLE lines (nr BIGINT, service VARCHAR, line VARCHAR)")
    for service, file in files.items():
        if file.stat().st_size:
            connection.execute(
                """INSERT INTO lines SELECT row_number() OVER (), ?, line FROM read_csv(?, columns={'line': 'VARCHAR'},
                auto_detect=false, header=false, delim=?, quote='', escape='', max_line_size=?)""",
                [service, str(file), SEPARATOR, LONGEST_LINE],
            )
    shape = json.dumps(FIELDS)
    connection.execute(
        f"""CREATE TABLE parsed AS SELECT nr, service, unnest(json_transform(line, '{shape}'))
        FROM (SELECT nr, service, CASE WHEN {PLAIN} THEN line ELSE '{{}}' END AS line FROM lines)"""  # noqa: S608 - ours
    )
    rows = connection.execute(
        f"SELECT nr, service, line FROM lines WHERE (nr, service) IN (SELECT (nr, service) FROM parsed WHERE {UNREAD})"  # noqa: S608
    ).fetchall()
    connection.execute(f"DELETE FROM parsed WHERE {UNREAD}")  # noqa: S608
    others = [json.dumps(_fields(service, line)) for _, service, line in rows]
    connection.execute(
        f"""INSERT INTO parsed SELECT nr, service, unnest(json_transform(line, '{shape}'))
        FROM (SELECT unnest(?::BIGINT[]) AS nr, unnest(?::VARCHAR[]) AS service, unnest(?::VARCHAR[]) AS line)""",  # noqa: S608
        [[row[0] for row in rows], [row[1] for row in rows], others],
    )
    connection.execute(VIEWS)
    return connection


def _fields(service: str, text: str) -> dict[str, Any]:
    return {name: value for name, value in parse_line(service, text).items() if name in FIELDS}


def ask(connection: DuckDBPyConnection, query: str, next_step: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return the names of a query's columns, and its rows.

    Raises:
        ClewError: DuckDB refuses it.
    """
    import duckdb

    try:
        found = connection.execute(query)
        return [column[0] for column in found.description or []], found.fetchall()
    except duckdb.Error as error:
        raise ClewError(f"DuckDB refuses the query: {str(error).strip()}", next_step) from None
