// Purchases with the types that openapi-typescript generates: `node purchase.js BASE CUSTOMER PRODUCT`.

import createClient from "openapi-fetch";
import type { paths } from "./schema.js";

declare const process: { argv: string[] };

const [base, customer_id, product_id] = process.argv.slice(2) as [string, string, string];

function must(holds: boolean, seen: unknown): asserts holds {
  if (!holds) throw new Error(JSON.stringify(seen));
}

const { data: tokens } = await createClient<paths>({ baseUrl: base }).POST("/api/auth/login", {
  body: { business: "acme", email: "admin@example.com", password: "admin123" },
});
must(tokens !== undefined, tokens);
const client = createClient<paths>({
  baseUrl: base,
  headers: { Authorization: `Bearer ${tokens.access_token}` },
});

const buy = (quantity: number, key: string) =>
  client.POST("/api/purchase", {
    params: { header: { "Idempotency-Key": key } },
    body: { customer_id, items: [{ product_id, quantity }] },
  });

const { data: receipt } = await buy(1, "purchase-ts");
must(receipt?.status === "approved" && receipt.items[0]?.quantity === 1, receipt);
const { data: order } = await client.GET("/api/orders/{order_id}", {
  params: { path: { order_id: receipt.order_id } },
});
must(order?.total_amount === receipt.total_amount && order.items[0]?.product_id === product_id, order);
// A date where a time is accepted too.
const { data: statement } = await client.GET("/api/customers/{customer_id}/statement", {
  params: { path: { customer_id }, query: { from: "2020-01-01" } },
});
must(typeof statement === "object" && statement.entries.at(-1)?.order_id === receipt.order_id, statement);
// The further members of a problem are typed.
const { error } = await buy(1_000_000, "purchase-ts-refused");
must(error?.code === "insufficient_stock" && error.shortages[0]?.requested === 1_000_000, error);
console.log(`openapi-typescript: order ${receipt.order_id}`);
