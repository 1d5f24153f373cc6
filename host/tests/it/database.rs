//! Databases as plugins and the host ask them, against a real server: types, errors, bounds, and what becomes of a query whose
//! connection or reader goes away.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use gristmill::database::{Database, DatabaseError, Rows, Value};
use gristmill::table::ValueType;
use insta::assert_snapshot;
use tokio_postgres::Client;

use crate::postgres::{Postgres, shared};

/// All rows of a statement, as JSON lines, with the types of the columns before them.
async fn lines(shop: &Database, statement: &str, parameters: &[Value]) -> Result<String, DatabaseError> {
    let mut rows = shop.query(statement, parameters, 0).await?;
    let mut said = String::new();
    for column in rows.columns() {
        writeln!(said, "{} {:?}", column.name, column.value_type).unwrap();
    }
    while rows.fetch().await? {
        let bytes = rows.decoder().encoded(gristmill::table::Encoding::JsonLines)?;
        said.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    Ok(said)
}

async fn blocks(rows: &mut Rows) -> Result<Vec<RecordBatch>, DatabaseError> {
    let mut all = Vec::new();
    while let Some(block) = rows.next().await? {
        all.push(block);
    }
    Ok(all)
}

/// The sessions that a connection has in a database, as the server counts them.
async fn sessions(admin: &Client, database: &str) -> i64 {
    let count = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND application_name = 'gristmill'";
    admin.query_one(count, &[&database]).await.unwrap().get(0)
}

/// Waits until nobody is at work in a database any more.
async fn until_idle(admin: &Client, database: &str) {
    let count = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND usename = 'reader' AND state <> 'idle'";
    let begin = Instant::now();
    while admin.query_one(count, &[&database]).await.unwrap().get::<_, i64>(0) > 0 {
        assert!(begin.elapsed() < Duration::from_secs(20), "a session is still at work");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

const TYPES: &str = r#"
CREATE TYPE mood AS ENUM ('sad', 'it''s "ok"');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE types (
    "bool" bool, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric, n2 numeric(10, 2), t text, vc varchar(9), c char(3),
    nm name, u uuid, d date, ts timestamp, tz timestamptz, tm time, iv interval, by bytea, j json, jb jsonb, m mood, p pair,
    pos positive, o oid, ip inet, cash money, arr int[], arr2 text[][], pairs pair[], bits bit(3), rng int4range, pt point, x xml,
    vec tsvector, onechar "char"
);
INSERT INTO types VALUES (
    true, -32768, -2147483648, 9223372036854775807, 1.5, 'NaN', 'NaN', 12345678.90, 'é"\', 'vc', 'c',
    'nm', '00112233-4455-6677-8899-AABBCCDDEEFF', '2024-02-29', '2024-02-29 23:59:59.999999', '1969-12-31 23:59:59.5-01:00',
    '23:59:59.5', '1 year 2 mons -3 days 04:05:06.7', '\x00ff80', E'{"a":\n 1e400}', '{"b": [1, null]}', 'it''s "ok"', (1, 'x"y'),
    7, 4294967295, '10.0.0.0/8', '1234.5', '{1,NULL,3}', '{{a,"b c"},{"d\"",NULL}}', ARRAY[(1,'a')::pair, NULL], B'101', '[1,5)',
    '(1,2)', '<a/>', 'fat cat', 'q'
);
INSERT INTO types (f8, f4) VALUES ('-Infinity', 'Infinity');
"#;

#[tokio::test]
async fn each_type_comes_as_one_that_blocks_have() {
    let server = shared();
    server.database("types", TYPES).await;
    let shop = server.shop("types", "");
    assert_snapshot!(lines(&shop, "SELECT * FROM types", &[]).await.unwrap(), @r##"
    bool Boolean
    i2 Int64
    i4 Int64
    i8 Int64
    f4 Float64
    f8 Float64
    n Text
    n2 Text
    t Text
    vc Text
    c Text
    nm Text
    u Text
    d Date
    ts Timestamp
    tz Timestamp
    tm Text
    iv Text
    by Binary
    j Json
    jb Json
    m Text
    p Json
    pos Int64
    o Int64
    ip Text
    cash Text
    arr Json
    arr2 Json
    pairs Json
    bits Text
    rng Text
    pt Text
    x Text
    vec Text
    onechar Text
    {"bool":true,"i2":-32768,"i4":-2147483648,"i8":9223372036854775807,"f4":1.5,"f8":null,"n":"NaN","n2":"12345678.90","t":"é\"\\","vc":"vc","c":"c  ","nm":"nm","u":"00112233-4455-6677-8899-aabbccddeeff","d":"2024-02-29","ts":"2024-02-29T23:59:59.999999Z","tz":"1970-01-01T00:59:59.500Z","tm":"23:59:59.5","iv":"1 year 2 mons -3 days +04:05:06.7","by":"AP+A","j":{"a":  1e400},"jb":{"b": [1, null]},"m":"it's \"ok\"","p":{"a":1,"b":"x\"y"},"pos":7,"o":4294967295,"ip":"10.0.0.0/8","cash":"$1,234.50","arr":[1,null,3],"arr2":[["a","b c"],["d\"",null]],"pairs":[{"a":1,"b":"a"},null],"bits":"101","rng":"[1,5)","pt":"(1,2)","x":"<a/>","vec":"'cat' 'fat'","onechar":"q"}
    {"bool":null,"i2":null,"i4":null,"i8":null,"f4":null,"f8":null,"n":null,"n2":null,"t":null,"vc":null,"c":null,"nm":null,"u":null,"d":null,"ts":null,"tz":null,"tm":null,"iv":null,"by":null,"j":null,"jb":null,"m":null,"p":null,"pos":null,"o":null,"ip":null,"cash":null,"arr":null,"arr2":null,"pairs":null,"bits":null,"rng":null,"pt":null,"x":null,"vec":null,"onechar":null}
    "##);
}

#[tokio::test]
async fn numbers_keep_their_digits_whatever_their_number() {
    let server = shared();
    server.database("digits", "").await;
    let shop = server.shop("digits", "");
    let digits = "1234567890".repeat(100);
    let number = format!("-{digits}.{digits}");
    let said =
        lines(&shop, "SELECT $1::numeric AS n, 'Infinity'::numeric AS i, 0.10 AS z", &[number.as_str().into()]).await;
    assert_eq!(
        said.unwrap(),
        format!("n Text\ni Text\nz Text\n{{\"n\":\"{number}\",\"i\":\"Infinity\",\"z\":\"0.10\"}}\n")
    );
}

#[tokio::test]
async fn times_that_no_block_can_hold_name_their_column() {
    let server = shared();
    server.database("times", "").await;
    let shop = server.shop("times", "");
    let mut said = String::new();
    for time in [
        "'infinity'::date",
        "'-infinity'::timestamptz",
        "'5874897-12-31'::date",
        "'4713-01-01 BC'::date",
        "'294276-12-31 23:59:59'::timestamp",
        "'0044-03-15 BC'::timestamp",
    ] {
        let refused = lines(&shop, &format!("SELECT 1 AS one, {time} AS \"when\""), &[]).await.unwrap_err();
        assert!(matches!(refused, DatabaseError::Invalid(_)), "{refused:?}");
        writeln!(said, "{refused}").unwrap();
    }
    assert_snapshot!(said, @r##"
    connection `shop`: column `when`: a value of it is infinity, which a block cannot hold: say in the statement what is to become of it, such as `::text` or `nullif`
    connection `shop`: column `when`: a value of it is infinity, which a block cannot hold: say in the statement what is to become of it, such as `::text` or `nullif`
    connection `shop`: column `when`: a value of it is a date before the year 1 or after 9999, which a block cannot hold: say in the statement what is to become of it, such as `::text` or `nullif`
    connection `shop`: column `when`: a value of it is a date before the year 1 or after 9999, which a block cannot hold: say in the statement what is to become of it, such as `::text` or `nullif`
    connection `shop`: column `when`: a value of it is an instant before the year 1 or after 9999, which a block cannot hold: say in the statement what is to become of it, such as `::text` or `nullif`
    connection `shop`: column `when`: a value of it is an instant before the year 1 or after 9999, which a block cannot hold: say in the statement what is to become of it, such as `::text` or `nullif`
    "##);
    let last =
        lines(&shop, "SELECT '0001-01-01'::date AS f, '9999-12-31 23:59:59.999999Z'::timestamptz AS l", &[]).await;
    assert_eq!(last.unwrap(), "f Date\nl Timestamp\n{\"f\":\"0001-01-01\",\"l\":\"9999-12-31T23:59:59.999999Z\"}\n");
    let text = lines(&shop, "SELECT 'infinity'::date::text AS t", &[]).await;
    assert_eq!(text.unwrap(), "t Text\n{\"t\":\"infinity\"}\n");
}

#[tokio::test]
async fn parameters_are_bound_and_read_as_whatever_the_statement_wants() {
    let server = shared();
    let admin = server.database("bound", "CREATE TABLE kept (id int, day date, name text, code bytea); INSERT INTO kept VALUES (1, '2024-01-02', 'x', '\\x00ff')").await;
    let shop = server.shop("bound", "");
    let evil = "'; DROP TABLE kept; --";
    let said =
        lines(&shop, "SELECT $1::text AS t, count(*) AS n FROM kept WHERE name <> $1", &[evil.into()]).await.unwrap();
    assert_eq!(said, format!("t Text\nn Int64\n{{\"t\":\"{evil}\",\"n\":1}}\n"));
    let parameters = [
        Value::Int64(1),
        "2024-01-02".into(),
        Value::Binary(vec![0, 255]),
        Value::Null,
        Value::Float64(1.5),
        Value::Boolean(true),
    ];
    let found = "SELECT name FROM kept WHERE id = $1 AND day = $2 AND code = $3 AND $4::int IS NULL AND $5 > 1.25::numeric AND $6";
    assert_eq!(lines(&shop, found, &parameters).await.unwrap(), "name Text\n{\"name\":\"x\"}\n");
    let said = lines(&shop, "SELECT id = ANY($1) AS found FROM kept", &["{1,2}".into()]).await.unwrap();
    assert_eq!(said, "found Boolean\n{\"found\":true}\n");
    let mut refused = String::new();
    for (statement, parameters) in [
        ("SELECT id FROM kept WHERE id = $1", vec![Value::from(evil)]),
        ("SELECT id FROM kept WHERE id = $1", vec![]),
        ("SELECT id FROM kept", vec![Value::Null]),
        ("SELECT id FROM kept WHERE name = $1", vec![Value::Binary(vec![1])]),
        ("SELECT id FROM kept WHERE name = $1", vec![Value::from("a\0b")]),
        ("SELECT $1", vec![Value::from("a")]),
        ("SELECT id FROM kept WHERE $1 IS NULL", vec![Value::Null]),
        ("SELECT 1 AS a; SELECT 2", vec![]),
    ] {
        match lines(&shop, statement, &parameters).await {
            Ok(said) => writeln!(refused, "{statement}: {said}").unwrap(),
            Err(error) => writeln!(refused, "{error:?}").unwrap(),
        }
    }
    assert_snapshot!(refused, @r##"
    Invalid("connection `shop`: invalid input syntax for type integer: \"'; DROP TABLE kept; --\" (SQLSTATE 22P02)")
    Invalid("connection `shop`: the statement has 1 parameters ($1, $2, …), and 0 are given")
    Invalid("connection `shop`: the statement has 0 parameters ($1, $2, …), and 1 are given")
    Invalid("connection `shop`: parameter $1: it is binary, and the statement wants `text` there")
    Invalid("connection `shop`: invalid byte sequence for encoding \"UTF8\": 0x00 (SQLSTATE 22021)")
    SELECT $1: ?column? Text
    {"?column?":"a"}

    Invalid("connection `shop`: could not determine data type of parameter $1 (SQLSTATE 42P18): cast it in the statement, such as `$1::text`")
    Invalid("connection `shop`: cannot insert multiple commands into a prepared statement (SQLSTATE 42601)")
    "##);
    assert_eq!(admin.query_one("SELECT count(*) FROM kept", &[]).await.unwrap().get::<_, i64>(0), 1);
}

#[tokio::test]
async fn a_statement_only_reads_and_leaves_nothing_behind() {
    let server = shared();
    let admin = server.database("reads", "CREATE TABLE kept (id int); CREATE SEQUENCE numbers; GRANT ALL ON ALL TABLES IN SCHEMA public TO reader; GRANT ALL ON SEQUENCE numbers TO reader").await;
    admin.batch_execute("GRANT INSERT ON kept TO reader").await.unwrap();
    let shop = server.shop("reads", "connections = 1");
    let mut said = String::new();
    for statement in [
        "INSERT INTO kept VALUES (1)",
        "INSERT INTO kept VALUES (1) RETURNING id",
        "WITH new AS (INSERT INTO kept VALUES (1) RETURNING id) SELECT id FROM new",
        "SELECT nextval('numbers')",
        "COMMIT",
        "SET TRANSACTION READ WRITE",
        "SET default_transaction_read_only = off",
        "COPY kept TO STDOUT",
        "SELECT set_config('transaction_read_only', 'off', false) AS set",
        "SELECT id, id FROM kept",
        "SELECT FROM kept",
        "",
    ] {
        match lines(&shop, statement, &[]).await {
            Ok(given) => writeln!(said, "{statement}: {given}").unwrap(),
            Err(error) => writeln!(said, "{statement}: {error:?}").unwrap(),
        }
    }
    assert_snapshot!(said, @r##"
    INSERT INTO kept VALUES (1): Invalid("connection `shop`: the statement gives no columns: only queries can be asked")
    INSERT INTO kept VALUES (1) RETURNING id: Denied("connection `shop`: cannot execute INSERT in a read-only transaction (SQLSTATE 25006): queries only read")
    WITH new AS (INSERT INTO kept VALUES (1) RETURNING id) SELECT id FROM new: Denied("connection `shop`: cannot execute SELECT in a read-only transaction (SQLSTATE 25006): queries only read")
    SELECT nextval('numbers'): Denied("connection `shop`: cannot execute nextval() in a read-only transaction (SQLSTATE 25006): queries only read")
    COMMIT: Invalid("connection `shop`: the statement gives no columns: only queries can be asked")
    SET TRANSACTION READ WRITE: Invalid("connection `shop`: the statement gives no columns: only queries can be asked")
    SET default_transaction_read_only = off: Invalid("connection `shop`: the statement gives no columns: only queries can be asked")
    COPY kept TO STDOUT: Invalid("connection `shop`: the statement gives no columns: only queries can be asked")
    SELECT set_config('transaction_read_only', 'off', false) AS set: Invalid("connection `shop`: transaction read-write mode must be set before any query (SQLSTATE 25001)")
    SELECT id, id FROM kept: Invalid("connection `shop`: two columns are called `id`: give one another name (`as \"…\"`)")
    SELECT FROM kept: Invalid("connection `shop`: the statement gives no columns: only queries can be asked")
    : Invalid("connection `shop`: the statement gives no columns: only queries can be asked")
    "##);
    // Neither settings nor locks go on to whoever has the session next.
    lines(&shop, "SELECT set_config('TimeZone', 'Asia/Tokyo', false) AS zone, pg_advisory_lock(1)::text AS lock", &[])
        .await
        .unwrap();
    let next = lines(&shop, "SELECT current_setting('TimeZone') AS zone, current_setting('transaction_read_only') AS ro, current_setting('statement_timeout') AS st, (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory') AS locks", &[]).await.unwrap();
    assert!(next.ends_with("{\"zone\":\"UTC\",\"ro\":\"on\",\"st\":\"5min\",\"locks\":0}\n"), "{next}");
    assert_eq!(admin.query_one("SELECT count(*) FROM kept", &[]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test]
async fn what_the_database_refuses_is_one_sentence() {
    let server = shared();
    let admin = server.database("refuses", "CREATE TABLE open (id int)").await;
    admin.batch_execute("CREATE TABLE secret (id int)").await.unwrap();
    let shop = server.shop("refuses", "");
    let mut said = String::new();
    for statement in [
        "SELEKT 1",
        "SELECT * FROM nowhere",
        "SELECT nothing FROM open",
        "SELECT * FROM secret",
        "SELECT 1/0 AS x",
        "EXPLAIN SELECT 1.5 AS n, 1 AS i",
    ] {
        match lines(&shop, statement, &[]).await {
            Ok(given) => writeln!(said, "{statement}: {given}").unwrap(),
            Err(error) => writeln!(said, "{error:?}").unwrap(),
        }
    }
    for (database, keys) in [
        ("refuses", "password = { variable = \"GRISTMILL_TEST_NOWHERE\" }"),
        ("refuses", "password = { file = \"/nowhere/at/all\" }"),
        ("nowhere", ""),
    ] {
        writeln!(said, "{:?}", server.shop(database, keys).ask("SELECT 1", &[]).await.unwrap_err()).unwrap();
    }
    assert_snapshot!(said.replace(&server.port.to_string(), "PORT"), @r##"
    Invalid("connection `shop`: syntax error at or near \"SELEKT\" at character 1 (SQLSTATE 42601)")
    Invalid("connection `shop`: relation \"nowhere\" does not exist at character 15 (SQLSTATE 42P01)")
    Invalid("connection `shop`: column \"nothing\" does not exist at character 8 (SQLSTATE 42703)")
    Denied("connection `shop`: permission denied for table secret (SQLSTATE 42501): its user needs a `grant` for that")
    Invalid("connection `shop`: division by zero (SQLSTATE 22012)")
    EXPLAIN SELECT 1.5 AS n, 1 AS i: QUERY PLAN Text
    {"QUERY PLAN":"Result  (cost=0.00..0.01 rows=1 width=36)"}

    Denied("connection `shop`: the variable `GRISTMILL_TEST_NOWHERE`, which should have its password, is not set")
    Denied("connection `shop`: its password in /nowhere/at/all: No such file or directory (os error 2)")
    Denied("connection `shop`: database \"nowhere\" does not exist (SQLSTATE 3D000): check the database in its `url`")
    "##);
}

#[tokio::test]
async fn reserved_words_quotes_and_1600_columns_are_names_like_others() {
    let server = shared();
    let columns: Vec<String> = (0..1599).map(|n| format!("c{n} int")).collect();
    let tables = format!(
        "CREATE TABLE \"select\" (\"from\" int, \"a \"\"b\"\" 'c'\" numeric, \"\u{e9};--\" text); INSERT INTO \"select\" VALUES (1, 2.50, 'x'); \
         CREATE TABLE wide (n numeric, {}); INSERT INTO wide (n, c1598) VALUES (1.0, 7)",
        columns.join(", ")
    );
    server.database("names", &tables).await;
    let shop = server.shop("names", "");
    assert_snapshot!(lines(&shop, "SELECT * FROM \"select\"", &[]).await.unwrap(), @r##"
    from Int64
    a "b" 'c' Text
    é;-- Text
    {"from":1,"a \"b\" 'c'":"2.50","é;--":"x"}
    "##);
    let mut rows = shop.query("SELECT * FROM wide", &[], 0).await.unwrap();
    assert_eq!((rows.columns().len(), rows.columns()[0].value_type), (1600, ValueType::Text));
    let all = blocks(&mut rows).await.unwrap();
    assert_eq!((all.len(), all[0].num_rows(), all[0].num_columns()), (1, 1, 1600));
}

#[tokio::test]
async fn blocks_are_small_whatever_rows_are_and_a_row_has_its_limit() {
    let server = shared();
    server.database("large", "").await;
    let shop = server.shop("large", "");
    let mut rows =
        shop.query("SELECT n, repeat('x', 1000000) AS t FROM generate_series(1, 20) n", &[], 0).await.unwrap();
    let all = blocks(&mut rows).await.unwrap();
    assert_eq!(all.iter().map(RecordBatch::num_rows).sum::<usize>(), 20);
    assert!(all.iter().all(|block| block.get_array_memory_size() <= 8 << 20), "{}", all.len());
    let mut rows = shop.query("SELECT n FROM generate_series(1, 100000) n", &[], 7000).await.unwrap();
    let all = blocks(&mut rows).await.unwrap();
    assert_eq!(all.iter().map(RecordBatch::num_rows).max(), Some(7000));
    assert_eq!(all.iter().map(RecordBatch::num_rows).sum::<usize>(), 100_000);
    // 8 MB fit; more do not, as a block or on the wire, and what comes after is as if nothing had been.
    let fits = shop.query("SELECT repeat('x', 8000000) AS t", &[], 0).await.unwrap().next().await.unwrap();
    assert_eq!(fits.unwrap().num_rows(), 1);
    let mut said = String::new();
    for size in [9_000_000, 300_000_000] {
        let refused = lines(&shop, &format!("SELECT 1 AS n, repeat('x', {size}) AS t"), &[]).await.unwrap_err();
        writeln!(said, "{refused:?}").unwrap();
    }
    assert_snapshot!(said, @r##"
    TooLarge("connection `shop`: a row has 9000012 bytes, and the 8388608 of a block are the most that a guest is given: select less of it, such as a part of its value")
    TooLarge("connection `shop`: a row has more than 16777216 bytes, and the 8388608 of a block are the most that a guest is given: select less of it, such as a part of its value")
    "##);
    assert_eq!(shop.ask("SELECT 1", &[]).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_sessions_than_the_connection_allows() {
    let server = shared();
    let admin = server.database("bounded", "").await;
    let shop = server.shop("bounded", "connections = 3");
    let ask = |n: i64| {
        let shop = shop.clone();
        async move {
            // Some are dropped in the middle.
            let mut rows = shop.query("SELECT n FROM generate_series(1, 200000) n", &[], 0).await.unwrap();
            rows.next().await.unwrap();
            if n % 3 > 0 {
                while rows.next().await.unwrap().is_some() {}
            }
        }
    };
    let mut asked = tokio::task::JoinSet::new();
    for n in 0..30 {
        asked.spawn(ask(n));
    }
    let mut most = 0;
    while !asked.is_empty() {
        most = most.max(sessions(&admin, "bounded").await);
        while asked.try_join_next().map(Result::unwrap).is_some() {}
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(most, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_nobody_wants_any_more_is_cancelled() {
    let server = shared();
    let admin = server.database("cancelled", "").await;
    let shop = server.shop("cancelled", "connections = 1");
    // In the middle of its rows.
    let mut rows =
        shop.query("SELECT generate_series(1, 1000000000) AS n, repeat('x', 1000) AS t", &[], 10).await.unwrap();
    rows.next().await.unwrap();
    drop(rows);
    until_idle(&admin, "cancelled").await;
    // Before the first one.
    let asked =
        tokio::time::timeout(Duration::from_millis(300), shop.query("SELECT pg_sleep(600)::text AS s", &[], 0)).await;
    assert!(asked.is_err());
    until_idle(&admin, "cancelled").await;
    // The same session goes on.
    assert_eq!(shop.ask("SELECT 1", &[]).await.unwrap().len(), 1);
    assert_eq!(sessions(&admin, "cancelled").await, 1);
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended() {
    let server = shared();
    server.database("slow", "").await;
    let shop = server.shop("slow", "statement_timeout = \"200ms\"");
    let late = shop.ask("SELECT pg_sleep(60)::text", &[]).await.unwrap_err();
    assert_snapshot!(format!("{late:?}"), @r#"Unavailable("connection `shop`: canceling statement due to statement timeout (SQLSTATE 57014): `statement_timeout` of the connection sets the limit")"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ended_is_replaced_before_the_first_row_and_not_after_it() {
    let server = shared();
    let admin = server.database("away", "").await;
    let shop = server.shop("away", "connections = 2");
    shop.ask("SELECT 1", &[]).await.unwrap();
    // All sessions are ended by somebody: the next query has a new one.
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'away' AND usename = 'reader'";
    admin.execute(end, &[]).await.unwrap();
    assert_eq!(shop.ask("SELECT 2", &[]).await.unwrap().len(), 1);
    // In the middle, before the first row: again; after it: an error.
    let mut rows =
        shop.query("SELECT n, repeat('x', 10000) AS t FROM generate_series(1, 1000000) n", &[], 0).await.unwrap();
    rows.next().await.unwrap();
    admin.execute(end, &[]).await.unwrap();
    let broken = blocks(&mut rows).await.unwrap_err();
    assert!(matches!(&broken, DatabaseError::Unavailable(why) if why.starts_with("connection `shop`: ")), "{broken:?}");
    assert_eq!(rows.next().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_verified_and_a_restart_is_survived() {
    let mut server = Postgres::start();
    server.database("tls", "").await;
    let mut said = String::new();
    let ssl =
        "SELECT ssl, (SELECT count(*) FROM pg_stat_ssl WHERE ssl) > 0 FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let shop = server.shop("tls", "");
    assert!(shop.ask(ssl, &[]).await.unwrap()[0].get::<_, bool>(0));
    let other = server.folder.join("wrong-name.pem");
    let untrusting = server.shop("tls", &format!("ca = {other:?}"));
    writeln!(said, "{:?}", untrusting.ask("SELECT 1", &[]).await.unwrap_err()).unwrap();
    // Under way when the server goes down, and back when it is up again.
    let mut rows =
        shop.query("SELECT n, repeat('x', 10000) AS t FROM generate_series(1, 1000000) n", &[], 0).await.unwrap();
    rows.next().await.unwrap();
    server.order("restart");
    assert!(matches!(blocks(&mut rows).await, Err(DatabaseError::Unavailable(_))));
    assert!(shop.ask(ssl, &[]).await.unwrap()[0].get::<_, bool>(0));
    server.order("stop");
    writeln!(said, "{:?}", shop.ask("SELECT 1", &[]).await.unwrap_err()).unwrap();
    server.order("start");
    for certificate in ["wrong-name", "expired"] {
        server.order(&format!("certificate {certificate}"));
        writeln!(said, "{certificate}: {:?}", server.shop("tls", "").ask("SELECT 1", &[]).await.unwrap_err()).unwrap();
    }
    server.order("tls off");
    writeln!(said, "off: {:?}", server.shop("tls", "").ask("SELECT 1", &[]).await.unwrap_err()).unwrap();
    assert_snapshot!(said.replace(&server.port.to_string(), "PORT"), @r##"
    Denied("connection `shop`: the server's certificate is by an authority that is not trusted here: name its certificate in `ca`")
    Unavailable("connection `shop`: localhost:PORT cannot be reached: Connection refused (os error 111)")
    wrong-name: Denied("connection `shop`: the server's certificate is for another host than the `url` names: invalid peer certificate: certificate not valid for name \"localhost\"; certificate is only valid for DnsName(\"elsewhere.example\")")
    expired: Denied("connection `shop`: the server's certificate has expired: it needs a new one")
    off: Denied("connection `shop`: the server does not speak TLS: set `ssl = on` there. Without it, only a server of this machine is asked (`tls = \"off\"`)")
    "##);
    let plain = server.shop("tls", "tls = \"off\"");
    assert!(!plain.ask(ssl, &[]).await.unwrap()[0].get::<_, bool>(0));
}

#[tokio::test]
async fn the_peak_of_memory_does_not_grow_with_the_rows() {
    let server = shared();
    server.database("memory", "").await;
    let shop = server.shop("memory", "");
    let peak = async |rows: i64| {
        let mut rows = shop
            .query("SELECT n, md5(n::text) AS t, n::numeric AS d FROM generate_series(1, $1::int) n", &[rows.into()], 0)
            .await
            .unwrap();
        let (mut most, mut count) = (0, 0);
        while let Some(block) = rows.next().await.unwrap() {
            count += block.num_rows();
            most = most.max(block.get_array_memory_size());
        }
        (most, count)
    };
    let (few, _) = peak(100_000).await;
    let before = resident();
    let (many, count) = peak(1_000_000).await;
    assert_eq!(count, 1_000_000);
    assert!(many <= few + (1 << 20), "{few} {many}");
    // Sixteen times that went through.
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown}");
}

/// What this process holds, in bytes (proc(5)).
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}
