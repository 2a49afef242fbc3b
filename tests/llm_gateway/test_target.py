"""What a request costs: exact to the last digit, because bills are added up from it."""

from decimal import Decimal

import pytest

from llm_gateway.target import Price, cost
from llm_gateway.wire.chat import Usage
from llm_gateway_testing.inprocess import runtime

PRICE = Price(input=Decimal("0.0000025"), cached_input=Decimal("0.00000125"), output=Decimal("0.00001"))
FREE = Price(Decimal(0), Decimal(0), Decimal(0))

COSTS: dict[str, tuple[Usage | None, Price | None, Decimal | None]] = {
    "no usage is told": (None, PRICE, None),
    "the model has no price": (Usage(100, 10, 110), None, None),
    "nothing is known": (None, None, None),
    "nothing was used": (Usage(), PRICE, Decimal(0)),
    "prompt and completion have a price each": (Usage(1000, 100, 1100), PRICE, Decimal("0.0035")),
    "cached tokens are part of the prompt and cheaper": (
        Usage(1000, 0, 1000, cached=400),
        PRICE,
        Decimal("0.0020"),
    ),
    "a prompt that was cached whole": (Usage(1000, 0, 1000, cached=1000), PRICE, Decimal("0.00125")),
    "reasoning is part of the completion": (Usage(0, 100, 100, reasoning=90), PRICE, Decimal("0.001")),
    "one token is not rounded away": (Usage(1, 0, 1), PRICE, Decimal("0.0000025")),
    "an estimate costs like what was told": (Usage(4, 2, 6, estimated=True), PRICE, Decimal("0.00003")),
    "a free model costs nothing, which is known": (Usage(1000, 100, 1100), FREE, Decimal(0)),
}


@pytest.mark.parametrize(("usage", "price", "expected"), COSTS.values(), ids=COSTS)
def test_cost(usage: Usage | None, price: Price | None, expected: Decimal | None) -> None:
    assert cost(usage, price) == expected


def test_a_million_small_requests_add_up_without_error() -> None:
    price = Price(Decimal("0.0000001"), Decimal("0.0000001"), Decimal("0.0000003"))
    each = cost(Usage(1, 1, 2), price)
    assert each is not None
    assert each * 1_000_000 == Decimal("0.4")
    assert sum([each] * 1000) == Decimal("0.0004")


PRICES: dict[str, tuple[str, Price]] = {
    "dollars per million become dollars per token": (
        '{input: "2.50", output: "10.00", cached_input: "1.25"}',
        PRICE,
    ),
    "cached input costs as input unless it says so": (
        '{input: "2.50", output: "10.00"}',
        Price(Decimal("0.0000025"), Decimal("0.0000025"), Decimal("0.00001")),
    ),
    "cached input may be free": (
        '{input: "3", output: "15", cached_input: "0"}',
        Price(Decimal("0.000003"), Decimal(0), Decimal("0.000015")),
    ),
    "the smallest price keeps its digits": (
        '{input: "0.0000001", output: "0.02"}',
        Price(Decimal("1E-13"), Decimal("1E-13"), Decimal("2E-8")),
    ),
}


@pytest.mark.parametrize(("written", "expected"), PRICES.values(), ids=PRICES)
def test_price_of_a_document(written: str, expected: Price) -> None:
    document = f"providers: {{p: {{type: mock, models: [{{name: m, price: {written}}}]}}}}"
    (target,) = runtime(document).routes.find("p/m").groups[0]
    assert target.price == expected
    assert target.name == "p/m"
