DROP INDEX allocations_created_idx;
