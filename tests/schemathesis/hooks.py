"""What a good request needs beyond what the document's schemas can say. Bad ones are sent as they were made."""

import uuid

import schemathesis
from schemathesis.generation import GenerationMode

# Of the demo data.
BUSINESS = "550e8400-e29b-41d4-a716-446655440099"
CUSTOMER = "550e8400-e29b-41d4-a716-446655440000"
PRODUCT = "650e8400-e29b-41d4-a716-446655440001"

AMOUNTS = ("price", "unit_price", "credit_limit")


def fit(value, name=""):
    """JSON Schema takes 5.0 for a whole number; the service does not, since its numbers are never floats. And how many
    digits an amount may have depends on the business's currency."""
    if isinstance(value, dict):
        return {name: fit(member, name) for name, member in value.items()}
    if isinstance(value, list):
        return [fit(member) for member in value]
    if name in AMOUNTS and value is not None:
        whole, _, digits = str(value).partition(".")
        return f"{whole[:15]}.{digits[:2]}" if digits.isdigit() else whole[:15]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    # A cursor is opaque: only a page of the same list can tell one.
    if case.query:
        case.query.pop("cursor", None)
    # A key names one request. Drawn from few values, two requests would share it, which is rightly refused.
    if case.headers and case.headers.get("Idempotency-Key"):
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
    # Any id but the caller's own is refused before anything else happens.
    if case.headers and case.headers.get("X-Business-Id"):
        case.headers["X-Business-Id"] = BUSINESS
    # Half of the ids that nobody has are ones that someone has.
    known = {"customers": CUSTOMER, "products": PRODUCT, "inventory": PRODUCT}.get(case.operation.path.split("/")[2])
    for name, value in (case.path_parameters or {}).items():
        if known and str(value)[-1:] in "02468ace":
            case.path_parameters[name] = known
    if not isinstance(case.body, dict):
        return
    case.body = fit(case.body)
    case.body.pop("business_id", None)
    where = f"{case.operation.method.upper()} {case.operation.path}"
    if where == "POST /api/purchase":
        # Left out, it is the caller's own customer; staff have none, and a customer no other.
        case.body["customer_id"] = CUSTOMER
        case.body["items"][0]["product_id"] = PRODUCT
    # Which three letters are a currency is ISO's to say.
    if where == "POST /api/businesses":
        case.body["currency"] = "EUR"
    if where == "POST /api/auth/register":
        case.body["business"] = BUSINESS
    # A customer goes with the role that acts for one, and with no other.
    if where in ("POST /api/users", "PATCH /api/users/{id}"):
        case.body.pop("customer_id", None)
        if case.body.get("role") == "customer":
            case.body["customer_id"] = CUSTOMER
    # One of the two members, and not both.
    if where == "PATCH /api/inventory/{product_id}":
        case.body.pop("adjust", None)
        if case.body.get("set") is None:
            case.body["set"] = 1
