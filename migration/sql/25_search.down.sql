DROP INDEX reservations_customer_idx;
DROP TABLE search_terms;
