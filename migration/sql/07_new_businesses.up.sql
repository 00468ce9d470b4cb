-- The platform's callers make businesses, and an admin renames its own. The policy `tenant` binds both: a transaction can
-- insert the one row whose id it has named, which exists already in every transaction but the one that makes the
-- business, and can change no other. Id, slug and currency stay as they are: links and documents rest on them.
GRANT INSERT (id, slug, name, currency) ON businesses TO tradeline_service;
GRANT UPDATE (name) ON businesses TO tradeline_service;
