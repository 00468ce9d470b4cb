DROP TABLE users;
DROP TABLE customers;
