-- Four tables of a shop, and a role that reads them. `:rows` is how many rows each has, `:seed` a number from 0 to 1. The
-- role's password comes from the environment.

\getenv password INGEST_PASSWORD

CREATE TABLE shipments (
    shipmt_id         bigint PRIMARY KEY,
    shipmt_date_tstmp timestamptz NOT NULL DEFAULT now(),
    shipmt_value      numeric(12, 2),
    shipmt_wght       numeric(12, 3),
    shipmt_dist_gc    integer,
    orig_state        text NOT NULL,
    dest_state        text NOT NULL,
    quarter           smallint,
    mode              text,
    naics             text,
    sctg              text,
    hazmat            text,
    export_yn         boolean NOT NULL,
    contact           text
);
CREATE TABLE deposits (
    deposit_id   bigint PRIMARY KEY,
    customer_id  bigint NOT NULL,
    iban         text NOT NULL,
    amount       numeric(14, 2) NOT NULL,
    currency     char(3) NOT NULL,
    branch       smallint,
    deposited_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE loans (
    loan_id     bigint PRIMARY KEY,
    customer_id bigint NOT NULL,
    principal   numeric(14, 2) NOT NULL,
    rate        double precision,
    term_months integer NOT NULL,
    born        date,
    region      smallint,
    approved_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE investments (
    investment_id bigint PRIMARY KEY,
    customer_id   bigint NOT NULL,
    isin          text NOT NULL,
    units         numeric(18, 6) NOT NULL,
    price         numeric,
    bought_at     timestamptz NOT NULL DEFAULT now()
);

SELECT setseed(:seed);

INSERT INTO shipments
SELECT n, timestamptz '2024-01-01 00:00Z' + n * interval '1 hour' / 50, round((random() * 9000)::numeric, 2),
       nullif(round((random() * 500)::numeric, 3), 0), (random() * 4000)::int,
       (ARRAY['CA', 'TX', 'NY', 'WA', 'IL'])[1 + (random() * 4)::int], (ARRAY['CA', 'TX', 'NY', 'WA', 'IL'])[1 + (random() * 4)::int],
       CASE WHEN n % 97 = 0 THEN NULL ELSE 1 + n % 4 END, (ARRAY['truck', 'rail', 'air', 'parcel'])[1 + (random() * 3)::int],
       (3000 + n % 900)::text, lpad((1 + n % 43)::text, 2, '0'), CASE WHEN random() < 0.02 THEN 'P' ELSE 'N' END, random() < 0.1,
       'person' || n % 1000 || '@example.org'
FROM generate_series(1, :rows::bigint) AS n;

INSERT INTO deposits
SELECT n, 1 + n % 5000, 'NL' || lpad((n * 7919 % 100)::text, 2, '0') || 'BANK' || lpad((n * 104729 % 10000000000)::text, 10, '0'),
       round((random() * 20000)::numeric, 2), (ARRAY['EUR', 'USD', 'GBP'])[1 + (random() * 2)::int], n % 20,
       timestamptz '2024-01-01 00:00Z' + n * interval '1 minute'
FROM generate_series(1, :rows::bigint) AS n;

INSERT INTO loans
SELECT n, 1 + n % 5000, round((random() * 500000)::numeric, 2), 0.01 + random() / 10, 12 * (1 + n % 30),
       date '1950-01-01' + (n * 31 % 20000)::int, CASE WHEN n % 50 = 0 THEN NULL ELSE n % 12 END,
       timestamptz '2024-01-01 00:00Z' + n * interval '1 minute'
FROM generate_series(1, :rows::bigint) AS n;

INSERT INTO investments
SELECT n, 1 + n % 5000, 'IE00B' || lpad((n * 6007 % 10000000)::text, 7, '0'), round((random() * 1000)::numeric, 6),
       CASE WHEN n % 40 = 0 THEN NULL ELSE round((random() * 300)::numeric, 4) END,
       timestamptz '2024-01-01 00:00Z' + n * interval '1 minute'
FROM generate_series(1, :rows::bigint) AS n;

CREATE INDEX ON shipments (shipmt_date_tstmp);
ANALYZE;

CREATE ROLE ingest LOGIN PASSWORD :'password';
GRANT SELECT ON shipments, deposits, loans, investments TO ingest;
-- To see which transactions of others are under way: what they commit late is not to be lost.
GRANT pg_read_all_stats TO ingest;
