-- Every sale waits while this step waits for its lock on products: for a second at most.
SET LOCAL lock_timeout = '1s';

-- `image_url` is a picture at another server, for other shop fronts. The picture that was uploaded has the columns
-- `picture_…`: its id, and the width and height of its largest size in pixels.
ALTER TABLE products
    ADD COLUMN image_url      text,
    ADD COLUMN picture_id     uuid,
    ADD COLUMN picture_width  integer,
    ADD COLUMN picture_height integer,
    ADD CONSTRAINT products_image_url_length CHECK (char_length(image_url) BETWEEN 1 AND 2048),
    ADD CONSTRAINT products_picture_whole CHECK (num_nulls(picture_id, picture_width, picture_height) IN (0, 3)),
    ADD CONSTRAINT products_picture_size CHECK (picture_width BETWEEN 1 AND 960 AND picture_height BETWEEN 1 AND 960);

GRANT UPDATE (image_url, picture_id, picture_width, picture_height) ON products TO tradeline_service;

-- The uploaded pictures, each in three sizes. An upload has an id of its own, so the bytes behind an id never change, and
-- nothing is updated here. `bytes` is null where the file is in the folder of TRADELINE_PICTURES.
CREATE TABLE product_pictures (
    business_id uuid        NOT NULL,
    id          uuid        NOT NULL,
    size        integer     NOT NULL,
    product_id  uuid        NOT NULL,
    upload_hash bytea       NOT NULL,
    bytes       bytea,
    created_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT product_pictures_pkey PRIMARY KEY (business_id, id, size),
    CONSTRAINT product_pictures_product_fkey FOREIGN KEY (business_id, product_id)
        REFERENCES products (business_id, id),
    CONSTRAINT product_pictures_size_known CHECK (size IN (96, 320, 960)),
    CONSTRAINT product_pictures_hash_length CHECK (octet_length(upload_hash) = 32)
);
-- JPEG does not compress any further.
ALTER TABLE product_pictures ALTER COLUMN bytes SET STORAGE EXTERNAL;

ALTER TABLE product_pictures ENABLE ROW LEVEL SECURITY;
ALTER TABLE product_pictures FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON product_pictures
    USING (business_id = nullif(current_setting('app.business_id', true), '')::uuid);

GRANT SELECT, INSERT, DELETE ON product_pictures TO tradeline_service;
