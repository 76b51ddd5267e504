-- What other services are still to be told, or were: see easycode_kit::outbox.
CREATE TABLE delivery (
    id       uuid PRIMARY KEY,
    subject  uuid NOT NULL,
    service  text NOT NULL,
    path     text NOT NULL,
    body     jsonb NOT NULL,
    state    text NOT NULL DEFAULT 'Pending' CHECK (state IN ('Pending', 'Done', 'NotEntitled', 'Refused', 'Dismissed')),
    detail   text NOT NULL DEFAULT '',
    answer   jsonb,
    attempts integer NOT NULL DEFAULT 0
);
CREATE INDEX delivery_subject ON delivery (subject, id);
CREATE INDEX delivery_pending ON delivery (id) WHERE state = 'Pending';
