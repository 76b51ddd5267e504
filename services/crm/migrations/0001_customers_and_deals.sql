-- Words are what letters and digits make: Postgres' own parser would keep addresses and host names whole.
CREATE TABLE company (
    id         uuid PRIMARY KEY,
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    domain     text CHECK (length(domain) BETWEEN 1 AND 253),
    custom     jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(custom) = 'object'),
    version    integer NOT NULL DEFAULT 1,
    words      tsvector GENERATED ALWAYS AS (to_tsvector('simple', regexp_replace(name || ' ' || coalesce(domain, ''), '[^[:alnum:]]+', ' ', 'g'))) STORED
);
CREATE INDEX company_words ON company USING gin (words);

CREATE TABLE contact (
    id          uuid PRIMARY KEY,
    company_id  uuid REFERENCES company ON DELETE SET NULL,
    given_name  text NOT NULL DEFAULT '' CHECK (length(given_name) <= 100),
    family_name text NOT NULL CHECK (length(family_name) BETWEEN 1 AND 100),
    email       text CONSTRAINT contact_email_unique UNIQUE CONSTRAINT contact_email_form CHECK (email ~ '^[^@ ]+@[^@ ]+$' AND length(email) <= 254),
    phone       text CHECK (length(phone) <= 40),
    custom      jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(custom) = 'object'),
    version     integer NOT NULL DEFAULT 1,
    words       tsvector GENERATED ALWAYS AS (to_tsvector('simple', regexp_replace(given_name || ' ' || family_name || ' ' || coalesce(email, ''), '[^[:alnum:]]+', ' ', 'g'))) STORED
);
CREATE INDEX contact_company ON contact (company_id);
CREATE INDEX contact_words ON contact USING gin (words);

CREATE TABLE stage (
    name     text PRIMARY KEY CHECK (length(name) BETWEEN 1 AND 60),
    position integer NOT NULL,
    kind     text NOT NULL CHECK (kind IN ('Open', 'Won', 'Lost'))
);
INSERT INTO stage VALUES ('Lead', 1, 'Open'), ('Qualified', 2, 'Open'), ('Proposal', 3, 'Open'), ('Won', 4, 'Won'), ('Lost', 5, 'Lost');

CREATE TABLE deal (
    id         uuid PRIMARY KEY,
    title      text NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
    company_id uuid REFERENCES company ON DELETE RESTRICT,
    contact_id uuid REFERENCES contact ON DELETE SET NULL,
    stage      text NOT NULL DEFAULT 'Lead' REFERENCES stage ON UPDATE CASCADE,
    amount     numeric(18, 2) CHECK (amount >= 0 AND amount <> 'NaN'),
    currency   char(3) CHECK (currency ~ '^[A-Z]{3}$'),
    custom     jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(custom) = 'object'),
    version    integer NOT NULL DEFAULT 1,
    words      tsvector GENERATED ALWAYS AS (to_tsvector('simple', regexp_replace(title, '[^[:alnum:]]+', ' ', 'g'))) STORED,
    CONSTRAINT deal_amount_has_currency CHECK ((amount IS NULL) = (currency IS NULL))
);
CREATE INDEX deal_company ON deal (company_id);
CREATE INDEX deal_contact ON deal (contact_id);
CREATE INDEX deal_words ON deal USING gin (words);

CREATE TABLE campaign (
    id     uuid PRIMARY KEY,
    name   text NOT NULL CONSTRAINT campaign_name_unique UNIQUE CHECK (length(name) BETWEEN 1 AND 200),
    status text NOT NULL DEFAULT 'Draft' CHECK (status IN ('Draft', 'Running', 'Done'))
);
CREATE TABLE campaign_member (
    campaign_id uuid NOT NULL REFERENCES campaign ON DELETE CASCADE,
    contact_id  uuid NOT NULL REFERENCES contact ON DELETE CASCADE,
    PRIMARY KEY (campaign_id, contact_id)
);
CREATE INDEX campaign_member_contact ON campaign_member (contact_id);
