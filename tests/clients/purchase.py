"""A purchase with the client that openapi-python-client generates: `purchase.py BASE CUSTOMER PRODUCT`."""

import sys
from uuid import UUID

from tradeline_client import AuthenticatedClient, Client
from tradeline_client.api.authentication import login
from tradeline_client.api.orders import create_purchase, get_order
from tradeline_client.api.receivables import get_statement
from tradeline_client.models import (InsufficientStockProblem, LineRequest, LoginRequest, OrderWithItems, PurchaseRequest,
                                     ReceiptView, StatementView, Status, TokenView)

base, customer, product = sys.argv[1], UUID(sys.argv[2]), UUID(sys.argv[3])
credentials = LoginRequest(business="acme", email="admin@example.com", password="admin123")
tokens = login.sync(client=Client(base), body=credentials)
assert isinstance(tokens, TokenView), tokens
client = AuthenticatedClient(base, tokens.access_token)


def buy(quantity, key):
    body = PurchaseRequest(customer_id=customer, items=[LineRequest(product_id=product, quantity=quantity)])
    return create_purchase.sync(client=client, body=body, idempotency_key=key)


receipt = buy(1, "purchase-py")
assert isinstance(receipt, ReceiptView), receipt
assert receipt.status is Status.APPROVED and receipt.items[0].quantity == 1, receipt
order = get_order.sync(receipt.order_id, client=client)
assert isinstance(order, OrderWithItems), order
assert order.total_amount == receipt.total_amount and order.items[0].product_id == product, order
# A date where a time is accepted too.
statement = get_statement.sync(customer, client=client, from_="2020-01-01")
assert isinstance(statement, StatementView), statement
assert statement.entries[-1].order_id == receipt.order_id, statement
# The further members of a problem are typed.
refusal = buy(1_000_000, "purchase-py-refused")
assert isinstance(refusal, InsufficientStockProblem), refusal
assert refusal.shortages[0].product_id == product and refusal.shortages[0].requested == 1_000_000, refusal
print(f"openapi-python-client: order {receipt.order_id}")
