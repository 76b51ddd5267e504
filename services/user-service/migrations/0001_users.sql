CREATE TABLE account (
    id              uuid PRIMARY KEY,
    email           text NOT NULL CONSTRAINT account_email_unique UNIQUE
                    CONSTRAINT account_email_form CHECK (email ~ '^[^@\s]+@[^@\s]+$' AND email = lower(email) AND length(email) <= 254),
    name            text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    status          text NOT NULL CHECK (status IN ('Invited', 'Active', 'Disabled')),
    password_hash   text CHECK (password_hash LIKE '$argon2id$%' AND length(password_hash) <= 200),
    oidc_subject    text CONSTRAINT account_oidc_subject_unique UNIQUE CHECK (length(oidc_subject) BETWEEN 1 AND 600),
    failed_attempts integer NOT NULL DEFAULT 0 CHECK (failed_attempts >= 0),
    locked_until    timestamptz,
    version         integer NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    -- Whoever is active has a way to sign in, and who was only invited has none.
    CONSTRAINT account_status_way_in_check CHECK (
        CASE status WHEN 'Active' THEN coalesce(password_hash, oidc_subject) IS NOT NULL
                    WHEN 'Invited' THEN coalesce(password_hash, oidc_subject) IS NULL ELSE true END)
);
CREATE TABLE assignment (
    account_id uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    service    text NOT NULL CHECK (length(service) BETWEEN 1 AND 40),
    role       text NOT NULL CHECK (length(role) BETWEEN 1 AND 80),
    PRIMARY KEY (account_id, service, role)
);
-- A session's token has a part that stays, by which one that was used already is known again, and one that is new each time.
CREATE TABLE session (
    id           uuid PRIMARY KEY,
    account_id   uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    family_hash  bytea NOT NULL CHECK (length(family_hash) = 32),
    refresh_hash bytea NOT NULL CHECK (length(refresh_hash) = 32),
    created_at   timestamptz NOT NULL DEFAULT now(),
    used_at      timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    revoked_at   timestamptz,
    user_agent   text CHECK (length(user_agent) <= 200),
    CONSTRAINT session_expires_at_check CHECK (expires_at <= created_at + interval '30 days')
);
CREATE INDEX ON session (account_id);
CREATE TABLE invitation (
    id         uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    token_hash bytea NOT NULL CONSTRAINT invitation_token_hash_unique UNIQUE CHECK (length(token_hash) = 32),
    invited_by text NOT NULL CHECK (length(invited_by) BETWEEN 1 AND 254),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at    timestamptz,
    CONSTRAINT invitation_expires_at_check CHECK (expires_at <= created_at + interval '7 days')
);
-- Only the newest link of an account counts.
CREATE UNIQUE INDEX invitation_account_id_unique ON invitation (account_id) WHERE used_at IS NULL;
CREATE TABLE identity_provider (
    one           boolean PRIMARY KEY DEFAULT true CHECK (one),
    issuer        text NOT NULL CHECK (length(issuer) BETWEEN 1 AND 500),
    client_id     text NOT NULL CHECK (length(client_id) BETWEEN 1 AND 300),
    client_secret text NOT NULL CHECK (length(client_secret) BETWEEN 1 AND 500),
    enabled       boolean NOT NULL,
    version       integer NOT NULL DEFAULT 1
);
-- The company's own audit trail.
CREATE TABLE event (
    id      uuid PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT now(),
    actor   text NOT NULL CHECK (length(actor) BETWEEN 1 AND 300),
    act     text NOT NULL CHECK (length(act) BETWEEN 1 AND 80),
    subject text NOT NULL CHECK (length(subject) BETWEEN 1 AND 300),
    detail  jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(detail) = 'object' AND pg_column_size(detail) <= 16384)
);
CREATE FUNCTION event_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what happened stays in the trail' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER event_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON event EXECUTE FUNCTION event_stays();
