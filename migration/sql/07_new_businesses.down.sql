REVOKE INSERT (id, slug, name, currency), UPDATE (name) ON businesses FROM tradeline_service;
