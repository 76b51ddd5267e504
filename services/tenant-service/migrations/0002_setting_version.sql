-- Every version that a service's settings ever had. They are numbered on when the settings go back to their defaults.
CREATE TABLE setting_version (
    service  text NOT NULL CHECK (length(service) BETWEEN 1 AND 40),
    version  integer NOT NULL CHECK (version > 0),
    act      text NOT NULL CHECK (act IN ('Set', 'Rollback', 'Reset')),
    -- Empty where the defaults were taken back.
    value    jsonb NOT NULL CHECK (jsonb_typeof(value) = 'object' AND pg_column_size(value) <= 32768),
    -- The version that was taken back.
    restored integer CHECK ((restored IS NOT NULL) = (act = 'Rollback')),
    made_at  timestamptz NOT NULL DEFAULT now(),
    made_by  text NOT NULL,
    PRIMARY KEY (service, version)
);

CREATE FUNCTION setting_version_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a version of settings can''t be changed' USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER setting_version_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON setting_version
    EXECUTE FUNCTION setting_version_stays();

INSERT INTO setting_version (service, version, act, value, made_at, made_by)
    SELECT service, version, 'Set', value, updated_at, updated_by FROM setting;
