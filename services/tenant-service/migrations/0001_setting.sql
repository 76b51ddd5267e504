CREATE TABLE setting (
    service    text PRIMARY KEY CHECK (length(service) BETWEEN 1 AND 40),
    value      jsonb NOT NULL CHECK (jsonb_typeof(value) = 'object' AND pg_column_size(value) <= 32768),
    version    integer NOT NULL DEFAULT 1,
    updated_at timestamptz NOT NULL DEFAULT now(),
    updated_by text NOT NULL
);
