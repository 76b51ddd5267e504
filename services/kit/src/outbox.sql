-- What other services are still to be told, or were: see easycode_kit::outbox.
CREATE TABLE delivery (
    id            uuid PRIMARY KEY,
    subject       uuid NOT NULL,
    service       text NOT NULL,
    path          text NOT NULL,
    body          jsonb NOT NULL,
    state         text NOT NULL DEFAULT 'Pending' CHECK (state IN ('Pending', 'Done', 'Refused', 'Dismissed')),
    detail        text NOT NULL DEFAULT '',
    answer        jsonb,
    attempts      integer NOT NULL DEFAULT 0,
    -- Until then someone is telling it.
    claimed_until timestamptz NOT NULL DEFAULT '-infinity'
);
CREATE INDEX delivery_subject ON delivery (subject, id);
CREATE INDEX delivery_unsettled ON delivery (state, attempts, id) WHERE state IN ('Pending', 'Refused');
