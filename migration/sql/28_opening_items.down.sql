DROP TABLE opening_items;
