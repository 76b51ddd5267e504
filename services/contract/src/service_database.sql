-- Installed by the operator in a service's database, idempotent. The service's migrations log in as mig_<service>,
-- publish their scripts to easycode.migration and bring every tenant's schema up to date by easycode.migrate().
-- The operator calls the same function, logged in as the same role, for a new tenant's schema: so a script can never
-- do more than its own service's migrations may.
CREATE SCHEMA IF NOT EXISTS easycode;
REVOKE ALL ON SCHEMA public FROM PUBLIC;

CREATE TABLE IF NOT EXISTS easycode.migration (
    version  integer PRIMARY KEY CHECK (version > 0),
    name     text NOT NULL,
    script   text NOT NULL,
    checksum text NOT NULL
);
CREATE TABLE IF NOT EXISTS easycode.tenant_schema (
    name        text PRIMARY KEY,
    version     integer NOT NULL,
    migrated_at timestamptz NOT NULL DEFAULT now()
);

CREATE OR REPLACE FUNCTION easycode.migrate(tenant text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    present integer;
    pending easycode.migration[];
    step    easycode.migration;
BEGIN
    -- A migration run and a new tenant's provisioning may meet: the second waits and finds nothing left to do.
    PERFORM pg_advisory_xact_lock(hashtext('easycode.migrate'), hashtext(tenant));
    -- A registered schema that is gone is made anew; whether that is wanted is for the operator to know.
    SELECT version INTO present FROM easycode.tenant_schema
        WHERE name = tenant AND EXISTS (SELECT FROM pg_namespace WHERE nspname = tenant);
    IF present IS NULL THEN
        EXECUTE format('CREATE SCHEMA IF NOT EXISTS %I AUTHORIZATION %I', tenant, tenant);
        present := 0;
    END IF;
    SELECT coalesce(array_agg(m ORDER BY m.version), '{}') INTO pending FROM easycode.migration m WHERE m.version > present;
    IF cardinality(pending) > 0 THEN
        EXECUTE format('SET LOCAL ROLE %I', tenant);
        EXECUTE format('SET LOCAL search_path = %I', tenant);
        FOREACH step IN ARRAY pending LOOP
            EXECUTE step.script;
            present := step.version;
        END LOOP;
        RESET ROLE;
        SET LOCAL search_path TO DEFAULT;
    END IF;
    INSERT INTO easycode.tenant_schema (name, version) VALUES (tenant, present)
        ON CONFLICT (name) DO UPDATE SET version = excluded.version, migrated_at = now()
        WHERE easycode.tenant_schema.version <> excluded.version;
    RETURN present;
END $$;

CREATE OR REPLACE FUNCTION easycode.erase(tenant text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('easycode.migrate'), hashtext(tenant));
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = tenant) THEN
        -- More than the schema: large objects, and what others granted to the role, would keep it from being dropped.
        EXECUTE format('SET LOCAL ROLE %I', tenant);
        EXECUTE format('DROP OWNED BY %I CASCADE', tenant);
        RESET ROLE;
    END IF;
    DELETE FROM easycode.tenant_schema WHERE name = tenant;
END $$;

REVOKE ALL ON FUNCTION easycode.migrate(text), easycode.erase(text) FROM PUBLIC;
