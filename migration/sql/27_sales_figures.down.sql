DROP INDEX order_transitions_sales_idx;
DROP TABLE sales_figures_state;
DROP TABLE sales_figures;
