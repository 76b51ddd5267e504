-- What an item's costs are in: said by the first receipt that says it, and the same from then on.
ALTER TABLE item ADD COLUMN currency char(3) CHECK (currency ~ '^[A-Z]{3}$');

-- What is left of a layer is worth so much to the cent, so that what goes out and what stays is together what came in.
ALTER TABLE layer ADD COLUMN value numeric(18, 2) CHECK (value >= 0 AND value <> 'NaN');
UPDATE layer SET value = round(remaining * unit_cost, 2);
ALTER TABLE layer ALTER COLUMN value SET NOT NULL;
-- By the database, since the service's version before, which serves until it is replaced, knows nothing of values.
CREATE FUNCTION layer_value() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.value := coalesce(NEW.value, round(NEW.remaining * NEW.unit_cost, 2));
    ELSE
        NEW.value := round(OLD.value * NEW.remaining / OLD.remaining, 2);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER layer_value BEFORE INSERT OR UPDATE OF remaining ON layer FOR EACH ROW EXECUTE FUNCTION layer_value();

-- What that which went out before it was there was counted at: so much less is the stock worth, until goods come that settle it.
ALTER TABLE stock ADD COLUMN short_value numeric(18, 2) NOT NULL DEFAULT 0;
UPDATE stock SET short_value = round(-quantity * last_cost, 2) WHERE quantity < 0;
ALTER TABLE stock ADD CONSTRAINT stock_short_value_check
    CHECK (short_value >= 0 AND short_value <> 'NaN' AND (quantity < 0 OR short_value = 0));

-- What the goods cost more than that which they settle was counted at.
ALTER TABLE movement_line ADD COLUMN variance numeric(18, 2) NOT NULL DEFAULT 0;
