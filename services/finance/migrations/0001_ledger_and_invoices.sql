-- Whatever the program does: an entry balances, has the lines it was posted with, and stays as it is.
CREATE TABLE account (
    code    text PRIMARY KEY CONSTRAINT account_code_check CHECK (code ~ '^[0-9A-Za-z][0-9A-Za-z.-]{0,19}$'),
    name    text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    kind    text NOT NULL CHECK (kind IN ('Asset', 'Liability', 'Equity', 'Income', 'Expense')),
    closed  boolean NOT NULL DEFAULT false,
    version integer NOT NULL DEFAULT 1
);
INSERT INTO account (code, name, kind) VALUES
    ('1000', 'Cash and bank', 'Asset'), ('1100', 'Receivables', 'Asset'), ('1200', 'Stock', 'Asset'),
    ('2000', 'Payables', 'Liability'), ('2100', 'Tax to be paid', 'Liability'), ('3000', 'Equity', 'Equity'),
    ('4000', 'Sales', 'Income'), ('5000', 'Cost of goods sold', 'Expense'), ('6000', 'Other expenses', 'Expense');

CREATE TABLE entry (
    id          uuid PRIMARY KEY,
    date        date NOT NULL,
    description text NOT NULL CHECK (length(description) BETWEEN 1 AND 500),
    source      text NOT NULL CHECK (length(source) BETWEEN 1 AND 60),
    currency    char(3) NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    lines       integer NOT NULL CONSTRAINT entry_lines_check CHECK (lines BETWEEN 2 AND 200),
    reverses    uuid CONSTRAINT entry_reverses_unique UNIQUE REFERENCES entry,
    request_key text CONSTRAINT entry_request_key_unique UNIQUE,
    fingerprint text,
    posted_by   text NOT NULL,
    posted_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX entry_date ON entry (date, id);
CREATE TABLE entry_line (
    entry_id uuid NOT NULL REFERENCES entry,
    position integer NOT NULL,
    account  text NOT NULL REFERENCES account ON UPDATE RESTRICT,
    debit    numeric(18, 2) NOT NULL DEFAULT 0 CHECK (debit >= 0 AND debit <> 'NaN'),
    credit   numeric(18, 2) NOT NULL DEFAULT 0 CHECK (credit >= 0 AND credit <> 'NaN'),
    PRIMARY KEY (entry_id, position),
    CONSTRAINT entry_line_side_check CHECK ((debit > 0) <> (credit > 0))
);
CREATE INDEX entry_line_account ON entry_line (account);

CREATE FUNCTION entry_is_whole() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    whose uuid := coalesce(to_jsonb(NEW) ->> 'entry_id', to_jsonb(NEW) ->> 'id');
    fits  boolean;
BEGIN
    SELECT count(*) = (SELECT lines FROM entry WHERE id = whose) AND sum(debit) = sum(credit)
        INTO fits FROM entry_line WHERE entry_id = whose;
    IF fits IS NOT TRUE THEN
        RAISE EXCEPTION 'entry % does not balance, or has not the lines it was posted with', whose
            USING ERRCODE = 'check_violation', TABLE = 'entry', CONSTRAINT = 'entry_lines_check';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER entry_is_whole AFTER INSERT ON entry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION entry_is_whole();
CREATE CONSTRAINT TRIGGER entry_line_is_whole AFTER INSERT ON entry_line
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION entry_is_whole();

CREATE FUNCTION posted_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what is posted stays as it is; reverse the entry by another' USING ERRCODE = 'check_violation', TABLE = TG_TABLE_NAME;
END $$;
CREATE TRIGGER entry_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON entry EXECUTE FUNCTION posted_stays();
CREATE TRIGGER entry_line_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON entry_line EXECUTE FUNCTION posted_stays();

-- Numbers without gaps: the row is locked until the invoice that takes the number is committed.
CREATE TABLE invoice_number (next integer NOT NULL);
INSERT INTO invoice_number VALUES (1);
CREATE TABLE invoice (
    id          uuid PRIMARY KEY,
    number      integer CONSTRAINT invoice_number_unique UNIQUE,
    customer    text NOT NULL CHECK (length(customer) BETWEEN 1 AND 200),
    contact_id  uuid,
    currency    char(3) NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    status      text NOT NULL DEFAULT 'Draft' CHECK (status IN ('Draft', 'Issued', 'Paid', 'Void')),
    issued_on   date,
    due_on      date,
    entry_id    uuid REFERENCES entry,
    version     integer NOT NULL DEFAULT 1,
    CONSTRAINT invoice_issued_check CHECK ((status = 'Draft') = (number IS NULL) AND (status = 'Draft') = (issued_on IS NULL)),
    CONSTRAINT invoice_due_on_check CHECK (due_on >= issued_on)
);
CREATE INDEX invoice_open ON invoice (due_on) WHERE status = 'Issued';
CREATE TABLE invoice_line (
    invoice_id  uuid NOT NULL REFERENCES invoice ON DELETE CASCADE,
    position    integer NOT NULL,
    description text NOT NULL CHECK (length(description) BETWEEN 1 AND 500),
    quantity    numeric(14, 3) NOT NULL CHECK (quantity > 0 AND quantity <> 'NaN'),
    unit_price  numeric(18, 2) NOT NULL CHECK (unit_price >= 0 AND unit_price <> 'NaN'),
    tax_rate    numeric(5, 2) NOT NULL DEFAULT 0 CHECK (tax_rate BETWEEN 0 AND 100),
    PRIMARY KEY (invoice_id, position),
    -- So that 200 of them can be added up.
    CONSTRAINT invoice_line_unit_price_total_check CHECK (quantity * unit_price < 10000000000000)
);
CREATE TABLE payment (
    id          uuid PRIMARY KEY,
    invoice_id  uuid NOT NULL REFERENCES invoice,
    date        date NOT NULL,
    amount      numeric(18, 2) NOT NULL CHECK (amount > 0 AND amount <> 'NaN'),
    entry_id    uuid NOT NULL REFERENCES entry,
    -- The entry by which it was taken back.
    reversal_id uuid REFERENCES entry,
    request_key text CONSTRAINT payment_request_key_unique UNIQUE,
    fingerprint text
);
CREATE INDEX payment_invoice ON payment (invoice_id);
CREATE INDEX invoice_entry ON invoice (entry_id);
CREATE INDEX payment_entry ON payment (entry_id);

-- What has a number stays, and so do its lines and its payments.
CREATE FUNCTION issued_stays() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    whose uuid := coalesce(to_jsonb(OLD) ->> 'invoice_id', to_jsonb(NEW) ->> 'invoice_id');
BEGIN
    IF (SELECT status FROM invoice WHERE id = whose) <> 'Draft' THEN
        RAISE EXCEPTION 'the lines of an invoice that is issued stay as they are' USING ERRCODE = 'check_violation', TABLE = 'invoice_line';
    END IF;
    RETURN coalesce(NEW, OLD);
END $$;
CREATE TRIGGER invoice_line_stays BEFORE INSERT OR UPDATE OR DELETE ON invoice_line FOR EACH ROW EXECUTE FUNCTION issued_stays();
CREATE FUNCTION numbered_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR (NEW.number, NEW.customer, NEW.currency, NEW.issued_on, NEW.entry_id)
        IS DISTINCT FROM (OLD.number, OLD.customer, OLD.currency, OLD.issued_on, OLD.entry_id)
    THEN
        RAISE EXCEPTION 'an invoice with a number stays; void it' USING ERRCODE = 'check_violation', TABLE = 'invoice';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER invoice_stays BEFORE UPDATE OR DELETE ON invoice FOR EACH ROW WHEN (OLD.number IS NOT NULL) EXECUTE FUNCTION numbered_stays();
CREATE FUNCTION payment_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR OLD.reversal_id IS NOT NULL OR (to_jsonb(NEW) - 'reversal_id') <> (to_jsonb(OLD) - 'reversal_id') THEN
        RAISE EXCEPTION 'a payment stays; it can be taken back once' USING ERRCODE = 'check_violation', TABLE = 'payment';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER payment_stays BEFORE UPDATE OR DELETE ON payment FOR EACH ROW EXECUTE FUNCTION payment_stays();

-- Each line is rounded by itself, as it is printed.
CREATE VIEW invoice_total AS
    SELECT invoice_id, sum(round(quantity * unit_price, 2)) AS net,
           sum(round(round(quantity * unit_price, 2) * tax_rate / 100, 2)) AS tax
    FROM invoice_line GROUP BY invoice_id;
