-- Which versions of the service work on the schema after a step. A running version does not know the steps of later ones:
-- it works on a database that is ahead as long as each further step is declared here with a step that it has. A step that
-- is not declared is compatible with no earlier version. Written by the steps themselves; not of businesses.
CREATE TABLE schema_compatibility (
    step            text NOT NULL,
    -- The oldest step whose version works with this one applied: the service must have been built with it.
    compatible_from text NOT NULL,
    CONSTRAINT schema_compatibility_pkey PRIMARY KEY (step)
);

GRANT SELECT ON schema_compatibility TO tradeline_service;
