ALTER TABLE products DROP COLUMN in_sale;
DROP TABLE sale_products;
DROP TABLE sales;
