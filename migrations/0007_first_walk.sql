-- The notice of the walk that first went through all of the root; NULL: none has yet. What was noticed after it is no part of
-- the first backup: it shrinks otherwise.
ALTER TABLE root ADD COLUMN first_walk INTEGER;
