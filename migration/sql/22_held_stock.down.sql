DROP VIEW held_stock;
