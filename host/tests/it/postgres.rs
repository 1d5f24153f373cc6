//! A PostgreSQL server of the tests' own (`tests/postgres/serve.py`): on a free port, with TLS by an authority of its own.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

use gristmill::database::{Connections, Database};
use tokio_postgres::{Client, Config, NoTls};

use crate::support::project;

/// The password of `reader`, with what has to be quoted somewhere.
pub(crate) const PASSWORD: &str = "pa'ss \"w\u{f6}rd\\";

/// A running server, gone with the test.
pub(crate) struct Postgres {
    pub(crate) port: u16,
    pub(crate) folder: PathBuf,
    process: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Postgres {
    pub(crate) fn start() -> Self {
        let mut process = Command::new("python3")
            .arg(project("host/tests/postgres/serve.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = process.stdin.take().unwrap();
        let mut answers = BufReader::new(process.stdout.take().unwrap()).lines();
        let ready = answers.next().expect("PostgreSQL did not start: run `make postgres` first").unwrap();
        let ready: serde_json::Value = serde_json::from_str(&ready).unwrap();
        let port = u16::try_from(ready["port"].as_u64().unwrap()).unwrap();
        let folder = PathBuf::from(ready["folder"].as_str().unwrap());
        Self { port, folder, process, orders, answers }
    }

    /// Has the server do something: see serve.py.
    pub(crate) fn order(&mut self, what: &str) {
        writeln!(self.orders, "{what}").unwrap();
        let answer = self.answers.next().unwrap().unwrap();
        assert_eq!(answer, "{}", "{what}");
    }

    /// Starts a standby, and gives its port.
    pub(crate) fn standby(&mut self) -> u16 {
        writeln!(self.orders, "standby").unwrap();
        let answer = self.answers.next().unwrap().unwrap();
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        u16::try_from(answer["port"].as_u64().unwrap_or_else(|| panic!("{answer}"))).unwrap()
    }

    /// The superuser, in this database.
    pub(crate) async fn admin(&self, database: &str) -> Client {
        let mut config = Config::new();
        config.host_path(&self.folder).port(self.port).user("postgres").dbname(database);
        let (client, connection) = config.connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// A database of a test's own with this in it, and `reader`, who may read it.
    pub(crate) async fn database(&self, name: &str, tables: &str) -> Client {
        let admin = self.admin("postgres").await;
        let password = PASSWORD.replace('\'', "''");
        let reader = format!(
            "DO $$ BEGIN CREATE ROLE reader LOGIN PASSWORD E'{}'; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
            password.replace('\\', "\\\\")
        );
        // Two tests may do so at once.
        let _ = admin.batch_execute(&reader).await;
        admin.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
        let admin = self.admin(name).await;
        admin.batch_execute(tables).await.unwrap();
        admin.batch_execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader").await.unwrap();
        admin
    }

    /// A connections file that names `shop`: this database, with these keys besides.
    pub(crate) fn file(&self, folder: &Path, database: &str, keys: &str) -> PathBuf {
        let mut lines = format!("[shop]\nurl = \"postgresql://reader@localhost:{}/{database}\"\n{keys}\n", self.port);
        if !keys.contains("password") {
            std::fs::write(folder.join("password"), PASSWORD).unwrap();
            lines.push_str("password = { file = \"password\" }\n");
        }
        if !keys.contains("tls") && !keys.contains("ca =") {
            lines.push_str(&format!("ca = {:?}\n", self.folder.join("ca.pem")));
        }
        let file = folder.join(format!("{database}.toml"));
        std::fs::write(&file, lines).unwrap();
        file
    }

    /// The same, opened.
    pub(crate) fn shop(&self, database: &str, keys: &str) -> Database {
        let folder = tempfile::tempdir().unwrap();
        let file = self.file(folder.path(), database, keys);
        let shop = Connections::load(&file, None).unwrap().named("shop").unwrap().clone();
        // The file with the password is read when a session begins.
        let _ = folder.keep();
        shop
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // It ends when nobody gives it orders any more; what it leaves is nothing.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

/// One server for all tests that have databases of their own in it.
pub(crate) fn shared() -> &'static Postgres {
    static SHARED: OnceLock<Postgres> = OnceLock::new();
    SHARED.get_or_init(Postgres::start)
}
