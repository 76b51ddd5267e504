CREATE TABLE register (
    code     text PRIMARY KEY CONSTRAINT register_code_form CHECK (code ~ '^[0-9A-Z][0-9A-Z-]{0,19}$'),
    name     text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    currency char(3) NOT NULL CHECK (currency ~ '^[A-Z]{3}$')
);
CREATE TABLE shift (
    id        uuid PRIMARY KEY,
    register  text NOT NULL REFERENCES register,
    cashier   text NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT now(),
    closed_at timestamptz,
    float     numeric(18, 2) NOT NULL CHECK (float >= 0 AND float <> 'NaN'),
    -- What should be in the drawer at the end, and what was counted.
    expected  numeric(18, 2),
    counted   numeric(18, 2) CHECK (counted >= 0 AND counted <> 'NaN'),
    CONSTRAINT shift_closed_check CHECK ((closed_at IS NULL) = (counted IS NULL) AND (closed_at IS NULL) = (expected IS NULL))
);
CREATE UNIQUE INDEX shift_open_unique ON shift (register) WHERE closed_at IS NULL;

-- The register gives a sale its id, so that sending it again makes no second one.
CREATE TABLE sale (
    id           uuid PRIMARY KEY,
    shift_id     uuid NOT NULL REFERENCES shift,
    currency     char(3) NOT NULL,
    payment      text NOT NULL CHECK (payment IN ('Cash', 'Card')),
    fingerprint  text NOT NULL,
    loyalty_card text CHECK (length(loyalty_card) BETWEEN 1 AND 40),
    sold_at      timestamptz NOT NULL DEFAULT now(),
    -- Whether anyone was told that it was made: until then it can be taken back.
    answered     boolean NOT NULL DEFAULT false
);
CREATE INDEX sale_shift ON sale (shift_id);
CREATE TABLE sale_line (
    sale_id     uuid NOT NULL REFERENCES sale ON DELETE CASCADE,
    position    integer NOT NULL,
    sku         text CHECK (length(sku) BETWEEN 1 AND 40),
    description text NOT NULL CHECK (length(description) BETWEEN 1 AND 200),
    quantity    numeric(14, 3) NOT NULL CHECK (quantity > 0 AND quantity <> 'NaN'),
    -- With taxes, as on the shelf.
    unit_price  numeric(18, 2) NOT NULL CHECK (unit_price >= 0 AND unit_price <> 'NaN'),
    tax_rate    numeric(5, 2) NOT NULL DEFAULT 0 CHECK (tax_rate BETWEEN 0 AND 100),
    refunded    numeric(14, 3) NOT NULL DEFAULT 0 CONSTRAINT sale_line_refunded_check CHECK (refunded BETWEEN 0 AND quantity),
    PRIMARY KEY (sale_id, position),
    -- So that 200 of them can be added up.
    CONSTRAINT sale_line_unit_price_total_check CHECK (quantity * unit_price < 10000000000000)
);
CREATE TABLE refund (
    id         uuid PRIMARY KEY,
    sale_id    uuid NOT NULL REFERENCES sale,
    shift_id   uuid NOT NULL REFERENCES shift,
    amount     numeric(18, 2) NOT NULL CHECK (amount > 0),
    fingerprint text NOT NULL,
    made_by    text NOT NULL,
    made_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX refund_shift ON refund (shift_id);
CREATE TABLE loyalty (
    card   text PRIMARY KEY,
    points bigint NOT NULL DEFAULT 0 CHECK (points >= 0)
);
