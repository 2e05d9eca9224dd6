-- Expand step: the worker process that began a run holds a shared advisory lock on this key for as long as it is there.
ALTER TABLE runs ADD COLUMN owner bigint;
