DROP TABLE ledger_entries;
DROP TABLE order_items;
DROP TABLE orders;
