DROP TABLE stock_movements;
DROP TABLE inventory;
DROP TABLE products;
