-- What is told of one record may have to wait for what is told of another: a refund for its sale. No reference, which each delivery
-- that goes away would be looked up for: one goes away only with a sale that was never made, and so has no refund.
ALTER TABLE delivery ADD COLUMN follows uuid;
