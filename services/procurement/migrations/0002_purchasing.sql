CREATE TABLE supplier (
    id      uuid PRIMARY KEY,
    name    text NOT NULL CONSTRAINT supplier_name_unique UNIQUE CHECK (length(name) BETWEEN 1 AND 200),
    email   text CONSTRAINT supplier_email_form CHECK (email ~ '^[^@ ]+@[^@ ]+$' AND length(email) <= 254),
    version integer NOT NULL DEFAULT 1
);
CREATE TABLE requisition (
    id           uuid PRIMARY KEY,
    title        text NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
    currency     char(3) NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    status       text NOT NULL DEFAULT 'Draft' CHECK (status IN ('Draft', 'Submitted', 'Approved', 'Rejected', 'Ordered')),
    requested_by text NOT NULL,
    version      integer NOT NULL DEFAULT 1
);
CREATE TABLE requisition_line (
    requisition_id uuid NOT NULL REFERENCES requisition ON DELETE CASCADE,
    position       integer NOT NULL,
    sku            text CHECK (length(sku) BETWEEN 1 AND 40),
    description    text NOT NULL CHECK (length(description) BETWEEN 1 AND 500),
    quantity       numeric(14, 3) NOT NULL CHECK (quantity > 0 AND quantity <> 'NaN'),
    unit_price     numeric(18, 2) NOT NULL CHECK (unit_price >= 0 AND unit_price <> 'NaN'),
    PRIMARY KEY (requisition_id, position),
    -- So that 200 of them can be added up.
    CONSTRAINT requisition_line_unit_price_total_check CHECK (quantity * unit_price < 10000000000000)
);
-- The steps that the tenant's workflow had when the requisition was submitted.
CREATE TABLE approval (
    requisition_id uuid NOT NULL REFERENCES requisition ON DELETE CASCADE,
    position       integer NOT NULL,
    role           text NOT NULL,
    decision       text CHECK (decision IN ('Approved', 'Rejected')),
    decided_by     text,
    comment        text CHECK (length(comment) <= 1000),
    decided_at     timestamptz,
    PRIMARY KEY (requisition_id, position),
    CONSTRAINT approval_decided_check CHECK ((decision IS NULL) = (decided_by IS NULL))
);
CREATE TABLE purchase_order (
    id             uuid PRIMARY KEY,
    requisition_id uuid NOT NULL CONSTRAINT purchase_order_requisition_id_unique UNIQUE REFERENCES requisition,
    supplier_id    uuid NOT NULL REFERENCES supplier,
    currency       char(3) NOT NULL,
    ordered_by     text NOT NULL
);
CREATE TABLE order_line (
    order_id    uuid NOT NULL REFERENCES purchase_order,
    position    integer NOT NULL,
    sku         text,
    description text NOT NULL,
    quantity    numeric(14, 3) NOT NULL CHECK (quantity > 0),
    unit_price  numeric(18, 2) NOT NULL,
    received    numeric(14, 3) NOT NULL DEFAULT 0 CONSTRAINT order_line_received_check CHECK (received BETWEEN 0 AND quantity),
    PRIMARY KEY (order_id, position)
);
CREATE TABLE receipt (
    id          uuid PRIMARY KEY,
    order_id    uuid NOT NULL REFERENCES purchase_order,
    request_key text NOT NULL CONSTRAINT receipt_request_key_unique UNIQUE,
    fingerprint text NOT NULL,
    received_by text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE receipt_line (
    receipt_id uuid NOT NULL REFERENCES receipt,
    position   integer NOT NULL,
    quantity   numeric(14, 3) NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (receipt_id, position)
);
