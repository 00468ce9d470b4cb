SET LOCAL lock_timeout = '1s';

DROP TABLE product_pictures;

ALTER TABLE products
    DROP COLUMN image_url,
    DROP COLUMN picture_id,
    DROP COLUMN picture_width,
    DROP COLUMN picture_height;
