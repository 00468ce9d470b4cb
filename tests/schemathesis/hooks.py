"""Completes valid requests where the document's schemas cannot express a rule. Invalid ones are sent as generated."""

import re
import uuid
from decimal import ROUND_DOWN, Decimal

import schemathesis
from schemathesis.generation import GenerationMode

# Ids of the demo data.
BUSINESS = "550e8400-e29b-41d4-a716-446655440099"
CUSTOMER = "550e8400-e29b-41d4-a716-446655440000"
PRODUCT = "650e8400-e29b-41d4-a716-446655440001"

AMOUNTS = ("amount", "price", "unit_price", "credit_limit")
PAST = "2024-02-29"
# The check against guessable passwords considers the whole text, which no pattern of a schema can express.
PASSWORD = "seven unrelated turnips waltz"


def fit(value, name=""):
    """Makes numbers and amounts valid. JSON Schema accepts 5.0 as an integer, and the service does not. The digits of an
    amount depend on the business's currency."""
    if isinstance(value, dict):
        return {visible(name): fit(member, name) for name, member in value.items()}
    if isinstance(value, list):
        return [fit(member) for member in value]
    if name in AMOUNTS and value is not None:
        amount = min(Decimal(str(value)), Decimal(10) ** 15 - 1).quantize(Decimal("0.01"), ROUND_DOWN)
        # Amounts that are paid, credited or written off are greater than zero.
        return str(amount if amount or name != "amount" else Decimal("0.01"))
    # ISO 3166 defines valid countries.
    if name == "country" and isinstance(value, str):
        return "DE"
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return visible(value) if isinstance(value, str) else value


def visible(text):
    """Replaces the invisible characters that the patterns of the schemas do not list: those beyond the first plane. Also
    brackets: Schemathesis reads texts of responses as URLs, and ends where a bracket begins no IPv6 address."""
    return re.sub("[\U000e0000-\U000e0fff\\[\\]]", "x", text)


def without_foreign_addresses(body):
    """Removes addresses in other scripts from an invalid body: they are valid, but not in JSON Schema's `email`."""
    if isinstance(body, dict):
        for name, value in body.items():
            if name == "email" and isinstance(value, str) and not value.isascii():
                body[name] = "a@.."
            without_foreign_addresses(value)


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        without_foreign_addresses(case.body)
        return
    # A cursor is opaque: only a page of the same list contains a valid one.
    if case.query:
        case.query.pop("cursor", None)
        # Changes have no filters, and no tables.
        if "updated_since" in case.query and set(case.query) - {"updated_since", "limit"}:
            case.query.pop("updated_since")
        # Reports are about the past, and a period begins before it ends.
        if "as_of" in case.query:
            case.query["as_of"] = PAST
        if "to" in case.query and case.operation.path.endswith("/statement"):
            case.query["to"] = PAST
            case.query.pop("from", None)
        elif case.operation.path.endswith("/reports/sales"):
            case.query["from"] = case.query["to"] = PAST
        elif "from" in case.query and not case.operation.path.endswith("/audit"):
            case.query["from"] = PAST
        # A span does not end before it begins.
        for span in ("created_", "received_", ""):
            if f"{span}from" in case.query and f"{span}to" in case.query:
                case.query[f"{span}from"] = case.query[f"{span}to"]
        # A search has a letter or a digit and a limited number of words. Digits of an amount depend on the currency.
        if "q" in case.query and not case.operation.path.endswith("/products"):
            case.query["q"] = "muller"
        for name in ("total", "amount"):
            for end, value in (("min", "1.00"), ("max", "2.00")):
                if f"{name}_{end}" in case.query:
                    case.query[f"{name}_{end}"] = value
        # Only unpaid orders are sorted by their due date, and not those of a search.
        if case.query.get("sort") == "due_at":
            case.query["unpaid"] = "true"
            case.query.pop("q", None)
        # The number of days in a month depends on the calendar, which no pattern can express.
        for name, value in case.query.items():
            if isinstance(value, str) and re.match(r"\d{4}-\d\d-(29|3\d)", value):
                case.query[name] = f"{value[:8]}28{value[10:]}"
    # A key identifies one request. Among few generated values two requests would share one, which is correctly
    # rejected.
    if case.headers and case.headers.get("Idempotency-Key"):
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
    # Every id but the caller's own is rejected before anything else is checked.
    if case.headers and case.headers.get("X-Business-Id"):
        case.headers["X-Business-Id"] = BUSINESS
    # Half of the generated ids are replaced with existing ones.
    known = {"customers": CUSTOMER, "products": PRODUCT, "inventory": PRODUCT}.get(case.operation.path.split("/")[2])
    for name, value in (case.path_parameters or {}).items():
        if known and str(value)[-1:] in "02468ace":
            case.path_parameters[name] = known
    if not isinstance(case.body, dict):
        return
    case.body = fit(case.body)
    case.body.pop("business_id", None)
    where = f"{case.operation.method.upper()} {case.operation.path}"
    if where in ("POST /api/purchase", "POST /api/orders/checkout"):
        # A customer may leave this out or name only themselves, and staff must name a customer.
        case.body["customer_id"] = CUSTOMER
        case.body["items"][0]["product_id"] = PRODUCT
    # A waitlist position is for one product.
    if where == "POST /api/reservations":
        case.body["customer_id"] = CUSTOMER
        case.body["items"] = case.body["items"][:1]
        case.body["items"][0]["product_id"] = PRODUCT
    if where == "POST /api/reservations/{reservation_id}/confirm":
        case.body["payment_method"] = "credit"
    # ISO 4217 defines valid currencies and IANA defines time zones; a pattern cannot express them.
    if where == "POST /api/businesses":
        case.body["currency"] = "EUR"
        case.body["admin"]["password"] = PASSWORD
    if where in ("POST /api/businesses", "PATCH /api/business") and case.body.get("time_zone"):
        case.body["time_zone"] = "Europe/Paris"
    # The latest closing date is today. A very old date is sent, so that payments of any date stay possible.
    if where == "PATCH /api/business" and case.body.get("books_closed_until"):
        case.body["books_closed_until"] = "1970-01-01"
    if where == "POST /api/auth/register":
        case.body["business"] = BUSINESS
        case.body["password"] = PASSWORD
    if where == "POST /api/users":
        case.body["password"] = PASSWORD
    if where == "POST /api/customers/{customer_id}/payouts" and case.body.get("paid_at"):
        case.body["paid_at"] = f"{PAST}T12:00:00Z"
    # The role customer needs a customer id, and no other role may have one.
    if where in ("POST /api/users", "PATCH /api/users/{user_id}"):
        case.body.pop("customer_id", None)
        if case.body.get("role") == "customer":
            case.body["customer_id"] = CUSTOMER
    # Exactly one of the two members is required.
    if where == "PATCH /api/inventory/{product_id}":
        case.body.pop("adjust", None)
        if case.body.get("set") is None:
            case.body["set"] = 1
    # A movement of zero is invalid, and only stock that was received can be taken.
    if where == "POST /api/inventory/movements":
        for line in case.body["lines"]:
            line["product_id"] = PRODUCT
            line["quantity"] = abs(line["quantity"]) or 1
    # A sale opens before it closes and names each product once. It is open, so that its product can still be sold.
    if where in ("POST /api/sales", "PATCH /api/sales/{sale_id}"):
        case.body["opens_at"], case.body["closes_at"] = f"{PAST}T12:00:00Z", "2999-01-01T00:00:00Z"
        if case.body.get("products"):
            case.body["products"] = case.body["products"][:1]
            case.body["products"][0]["product_id"] = PRODUCT
    # A payment was received in the past. It names one order or several shares, and the shares do not exceed its amount.
    if where == "POST /api/payments":
        case.body["customer_id"] = CUSTOMER
        if case.body.get("received_at"):
            case.body["received_at"] = f"{PAST}T12:00:00Z"
        if case.body.get("allocations"):
            case.body.pop("order_id", None)
            # Each share fits an amount, and their sum must fit too.
            while sum(Decimal(share["amount"]) for share in case.body["allocations"]) >= Decimal(10) ** 15:
                case.body["allocations"].pop()
            case.body["amount"] = str(sum(Decimal(share["amount"]) for share in case.body["allocations"]))
    # Either an amount or items; a restock needs items.
    if where == "POST /api/orders/{order_id}/refund":
        case.body.pop("amount" if case.body.get("items") else "restock", None)
    # A restock needs items, and items determine the amount.
    if where == "POST /api/orders/{order_id}/credit-notes":
        if case.body.get("items"):
            case.body.pop("amount", None)
        else:
            case.body.pop("items", None)
            case.body.pop("restock", None)
            case.body.setdefault("amount", "1.00")
            case.body["amount"] = case.body["amount"] or "1.00"
