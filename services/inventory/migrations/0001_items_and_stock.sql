CREATE TABLE item (
    id             uuid PRIMARY KEY,
    sku            text NOT NULL CONSTRAINT item_sku_unique UNIQUE CONSTRAINT item_sku_form CHECK (sku ~ '^[0-9A-Za-z][0-9A-Za-z._-]{0,39}$'),
    name           text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    unit           text NOT NULL DEFAULT 'piece' CHECK (length(unit) BETWEEN 1 AND 20),
    allow_negative boolean NOT NULL DEFAULT false,
    version        integer NOT NULL DEFAULT 1
);
CREATE TABLE warehouse (
    code text PRIMARY KEY CONSTRAINT warehouse_code_form CHECK (code ~ '^[0-9A-Z][0-9A-Z-]{0,19}$'),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200)
);
INSERT INTO warehouse VALUES ('MAIN', 'Main warehouse');

-- What is there, kept with every move. Its row is locked first by whoever changes the stock of an item in a warehouse.
CREATE TABLE stock (
    item_id         uuid NOT NULL REFERENCES item,
    warehouse       text NOT NULL REFERENCES warehouse,
    quantity        numeric(14, 3) NOT NULL DEFAULT 0,
    reserved        numeric(14, 3) NOT NULL DEFAULT 0 CONSTRAINT stock_reserved_check CHECK (reserved >= 0),
    may_be_negative boolean NOT NULL DEFAULT false,
    last_cost       numeric(18, 4) NOT NULL DEFAULT 0,
    PRIMARY KEY (item_id, warehouse),
    CONSTRAINT stock_quantity_check CHECK (may_be_negative OR quantity >= reserved)
);

-- One document: everything in it happened together.
CREATE TABLE movement (
    id          uuid PRIMARY KEY,
    kind        text NOT NULL CHECK (kind IN ('Receipt', 'Issue', 'Transfer', 'Adjustment')),
    reference   text CHECK (length(reference) <= 200),
    request_key text CONSTRAINT movement_request_key_unique UNIQUE,
    fingerprint text,
    made_by     text NOT NULL,
    made_at     timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE movement_line (
    movement_id uuid NOT NULL REFERENCES movement,
    position    integer NOT NULL,
    item_id     uuid NOT NULL REFERENCES item,
    warehouse   text NOT NULL REFERENCES warehouse,
    -- More than nothing comes in, less goes out.
    quantity    numeric(14, 3) NOT NULL CHECK (quantity <> 0 AND quantity <> 'NaN'),
    -- What it was worth, with the sign of the quantity.
    cost        numeric(18, 2) NOT NULL,
    lot         text CHECK (length(lot) BETWEEN 1 AND 60),
    PRIMARY KEY (movement_id, position)
);
CREATE INDEX movement_line_item ON movement_line (item_id, movement_id);

-- What came in at one cost and is still there: first in, first out.
CREATE TABLE layer (
    id        uuid PRIMARY KEY,
    item_id   uuid NOT NULL REFERENCES item,
    warehouse text NOT NULL REFERENCES warehouse,
    remaining numeric(14, 3) NOT NULL CHECK (remaining > 0),
    unit_cost numeric(18, 4) NOT NULL CHECK (unit_cost >= 0 AND unit_cost <> 'NaN'),
    lot       text,
    -- So that it can be added up.
    CONSTRAINT layer_unit_cost_total_check CHECK (remaining * unit_cost < 10000000000000)
);
CREATE INDEX layer_age ON layer (item_id, warehouse, id);

CREATE TABLE reservation (
    id          uuid PRIMARY KEY,
    item_id     uuid NOT NULL REFERENCES item,
    warehouse   text NOT NULL REFERENCES warehouse,
    quantity    numeric(14, 3) NOT NULL CHECK (quantity > 0 AND quantity <> 'NaN'),
    reference   text CHECK (length(reference) <= 200),
    request_key text CONSTRAINT reservation_request_key_unique UNIQUE,
    fingerprint text,
    ended       boolean NOT NULL DEFAULT false
);
