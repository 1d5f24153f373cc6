"""What a plugin asks a database: at the desk, where the test answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from gristmill import Context, DatabaseDenied, plugin
from gristmill.statement import statement
from gristmill.testing import run


@plugin(name="orders", version="1.0.0", outputs={"orders": {"id": "int64", "total": "text?"}})
def orders(item: Any, ctx: Context) -> Any:
    """Orders of a day."""
    found = ctx.query("shop", "select id, total from orders where day = $1", [date.fromisoformat(item)], block_rows=2)
    for block in found:
        ctx.emit_columns("orders", {name: block[name] for name in block.columns})
    return {"columns": dict(found.columns)}


def test_a_test_answers_for_the_database() -> None:
    asked = []

    def shop(text: str, parameters: Sequence[Any]) -> list[dict[str, Any]]:
        asked.append((text, parameters))
        return [{"id": 1, "total": "0.10"}, {"id": 2, "total": None}, {"id": 3, "total": "7"}]

    result = run(orders, "2024-02-29", databases={"shop": shop})
    assert asked == [("select id, total from orders where day = $1", ("2024-02-29",))]
    assert [row["total"] for row in result.rows["orders"]] == ["0.10", None, "7"]
    assert result.value == {"columns": {"id": "int64", "total": "text"}}


def test_a_connection_that_is_not_granted_is_denied() -> None:
    with pytest.raises(DatabaseDenied, match="connection shop: it is not granted"):
        run(orders, "2024-02-29")


def test_parameters_are_of_the_few_types_that_the_host_takes() -> None:
    given = [
        None, True, 1, 2**63, 0.5, "a", bytearray(b"\0"), Decimal("0.10"), UUID(int=1), date(2024, 2, 29),
        datetime(2024, 2, 29, 12, tzinfo=UTC), time(12, 30),
    ]
    expected = (
        None, True, 1, "9223372036854775808", 0.5, "a", b"\0", "0.10", "00000000-0000-0000-0000-000000000001", "2024-02-29",
        "2024-02-29T12:00:00+00:00", "12:30:00",
    )
    bound = statement("shop", "select 1", given, 0).parameters
    assert bound == expected
    assert [type(value) for value in bound] == [type(value) for value in expected]


@pytest.mark.parametrize("given", ["abc", b"abc", [[1, 2]], [{"a": 1}]])
def test_what_no_database_knows_is_refused(given: Any) -> None:
    with pytest.raises(TypeError, match="parameter"):
        statement("shop", "select 1", given, 0)
