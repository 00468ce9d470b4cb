ALTER TABLE stock_movements
    DROP CONSTRAINT stock_movements_reserved_by_reservations,
    DROP CONSTRAINT stock_movements_reason_known;
ALTER TABLE stock_movements NO FORCE ROW LEVEL SECURITY;
DELETE FROM stock_movements WHERE reserved <> 0;
ALTER TABLE stock_movements FORCE ROW LEVEL SECURITY;
ALTER TABLE stock_movements
    DROP COLUMN reservation_id,
    DROP COLUMN reserved,
    ADD CONSTRAINT stock_movements_reason_known
        CHECK (reason IN ('received', 'damaged', 'lost', 'found', 'stocktake', 'returned', 'correction'));
DROP TABLE reservation_items;
DROP TABLE reservations;
-- Nothing is held any more.
ALTER TABLE inventory NO FORCE ROW LEVEL SECURITY;
UPDATE inventory SET reserved = 0 WHERE reserved > 0;
ALTER TABLE inventory FORCE ROW LEVEL SECURITY;
DROP INDEX inventory_waiting_idx;
ALTER TABLE inventory
    DROP COLUMN places_given,
    DROP COLUMN waiting;
