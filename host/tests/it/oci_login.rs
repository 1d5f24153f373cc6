//! Who gets to see a login for an OCI registry, and what for: servers on this machine, of which one is what the login is for.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::header::AUTHORIZATION;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gristmill::job::Digest;
use tokio::net::TcpListener;

use crate::guest::Guest;
use crate::laptop::{Laptop, gristmill};

/// What a server is asked: a path with its query, and as whom.
type Asked = (String, Option<String>);

/// A server that notes what it is asked.
struct Server {
    host: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// `answer` knows the server's own address.
    async fn start(answer: impl Fn(&str, &str, Option<&str>) -> Response + Clone + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (noted, own) = (asked.clone(), host.clone());
        let service = Router::new().fallback(move |request: Request| {
            let path = request.uri().path().to_owned();
            let whole = request.uri().to_string();
            let header = request.headers().get(AUTHORIZATION);
            let whom = header.map(|value| value.to_str().unwrap().to_owned());
            let answer = answer(&own, &path, whom.as_deref());
            noted.lock().unwrap().push((whole, whom));
            async move { answer }
        });
        tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        Self { host, asked }
    }

    /// What it was told of whoever came.
    fn has_seen(&self, secret: &str) -> bool {
        self.asked.lock().unwrap().iter().any(|(_, whom)| whom.as_ref().is_some_and(|whom| whom.contains(secret)))
    }

    fn was_asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

fn challenge(value: String) -> Response {
    (axum::http::StatusCode::UNAUTHORIZED, [("www-authenticate", value)], "").into_response()
}

/// The login as it goes over the wire.
fn secret() -> String {
    STANDARD.encode("somebody:secret")
}

/// A registry with a component, for whoever has the token that `realm` gives out.
async fn registry(realm: impl Fn(&str) -> String + Clone + Send + Sync + 'static) -> Server {
    let component = Guest::new("(i32.const 0)").component();
    let digest = Digest::of(&component).to_string();
    let manifest = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.wasm.config.v0+json","digest":"{digest}","size":2}},"layers":[{{"mediaType":"application/wasm","digest":"{digest}","size":{}}}]}}"#,
        component.len()
    );
    Server::start(move |own, path, whom| match (path, whom) {
        ("/token", Some(whom)) if whom == format!("Basic {}", secret()) => r#"{"token":"a token"}"#.into_response(),
        ("/token", _) => axum::http::StatusCode::FORBIDDEN.into_response(),
        (_, Some("Bearer a token")) if path.contains("/manifests/") => manifest.clone().into_response(),
        (_, Some("Bearer a token")) if path.contains("/blobs/") => component.clone().into_response(),
        _ => challenge(format!(r#"Bearer realm="{}",service="r""#, realm(own))),
    })
    .await
}

/// What `check` says of a stranger's dataset file with a component at this host, for somebody who has a login for `ours`.
async fn checked(host: &str, ours: Option<&str>, token_hosts: &str) -> (bool, String) {
    check(&Laptop::new(), host, |command| {
        command.env("GRISTMILL_OCI_TOKEN_HOSTS", token_hosts);
        command.env("GRISTMILL_OCI_USER", "somebody").env("GRISTMILL_OCI_PASSWORD", "secret");
        if let Some(ours) = ours {
            command.env("GRISTMILL_OCI_HOST", ours);
        }
    })
    .await
}

/// The same, for somebody with this environment, whose `docker login` wrote into the laptop's folder.
async fn check(laptop: &Laptop, host: &str, environment: impl FnOnce(&mut Command)) -> (bool, String) {
    let text = format!(
        "dataset = \"d\"\nplugin.component = \"oci://{host}/p:1\"\nmap.items = []\n[[output]]\nname = \"rows\"\ntable = \"rows\"\nkey = [\"id\"]\n"
    );
    let dataset = laptop.write("dataset.toml", &text);
    let mut command = gristmill();
    command.arg("check").arg(dataset).env("DOCKER_CONFIG", laptop.root());
    for name in ["HOST", "USER", "PASSWORD", "TOKEN_HOSTS"] {
        command.env_remove(format!("GRISTMILL_OCI_{name}"));
    }
    environment(&mut command);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_goes_to_its_own_host_and_nowhere_else() {
    let third = registry(|own| format!("http://{own}/token")).await;
    let ours = registry(|own| format!("http://{own}/token")).await;
    // A stranger's registry: one that sends people to the third host, and one that asks for the password itself.
    let at_third = format!("http://{}/token", third.host);
    let stranger = registry(move |_| at_third.clone()).await;
    let basic = Server::start(|_, _, _| challenge("Basic realm=\"r\"".into())).await;

    let (fine, said) = checked(&ours.host, Some(&ours.host), "").await;
    assert!(fine && ours.has_seen(&secret()), "{said}");
    for host in [&stranger.host, &basic.host] {
        let (fine, said) = checked(host, Some(&ours.host), "").await;
        assert!(!fine && said.contains(&format!("are for {} alone", ours.host)), "{said}");
        // A login that does not say whose it is, is nobody's.
        let (fine, said) = checked(host, None, "").await;
        assert!(!fine && said.contains("GRISTMILL_OCI_HOST does not say whom they are for"), "{said}");
    }
    for server in [&stranger, &basic, &third] {
        assert!(!server.has_seen(&secret()), "{:?}", server.asked.lock().unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_sends_its_login_to_no_host_that_is_not_known() {
    let third = registry(|own| format!("http://{own}/token")).await;
    let at_third = format!("http://{}/token", third.host);
    let ours = registry(move |_| at_third.clone()).await;
    let (fine, said) = checked(&ours.host, Some(&ours.host), "").await;
    let expected = [
        format!("to be sent to \"http://{}/token\"", third.host),
        format!("GRISTMILL_OCI_TOKEN_HOSTS={}=HOST", ours.host),
    ];
    assert!(!fine && expected.iter().all(|expected| said.contains(expected)), "{said}");
    assert!(!third.has_seen(&secret()) && third.was_asked() == 0, "{:?}", third.asked.lock().unwrap());
    // Whoever says that the third host is a part of it has it so.
    let (fine, said) = checked(&ours.host, Some(&ours.host), &format!("{}={}", ours.host, third.host)).await;
    assert!(fine && third.has_seen(&secret()) && !ours.has_seen(&secret()), "{said}");
}

/// A registry that takes what is pushed, from whoever has the token that its other host gives out for pushing.
#[tokio::test(flavor = "multi_thread")]
async fn who_pushes_asks_for_a_token_that_may_push() {
    let third = registry(|own| format!("http://{own}/token")).await;
    let realm = format!("http://{}/token", third.host);
    let ours = Server::start(move |_, path, whom| {
        let put = |status: u16, location: &str| {
            let status = axum::http::StatusCode::from_u16(status).unwrap();
            (status, [("location", location.to_owned())], "").into_response()
        };
        match whom {
            Some("Bearer a token") if path.ends_with("/uploads/") => put(202, "/v2/p/blobs/uploads/1"),
            Some("Bearer a token") if path.contains("/blobs/sha256:") => put(404, ""),
            Some("Bearer a token") => put(201, "/v2/p/x"),
            _ => challenge(format!("Bearer realm=\"{realm}\",service=\"r\"")),
        }
    })
    .await;
    let laptop = Laptop::new();
    let file = laptop.root().join("p.wasm");
    fs::write(&file, Guest::new("(i32.const 0)").component()).unwrap();
    let push = async |token_hosts: String| {
        let mut command = gristmill();
        command.args(["plugin", "push"]).arg(&file).arg(format!("oci://{}/p", ours.host));
        command.env("GRISTMILL_OCI_HOST", &ours.host).env("GRISTMILL_OCI_TOKEN_HOSTS", token_hosts);
        command.env("GRISTMILL_OCI_USER", "somebody").env("GRISTMILL_OCI_PASSWORD", "secret");
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let (fine, said) = push(String::new()).await;
    assert!(!fine && said.contains("to be sent to") && third.was_asked() == 0, "{said}");
    let (fine, said) = push(format!("{}={}", ours.host, third.host)).await;
    assert!(fine && said.contains("/p@sha256:"), "{said}");
    let scopes = third
        .asked
        .lock()
        .unwrap()
        .iter()
        .map(|(asked, _)| asked.replace("%3A", ":").replace("%2C", ","))
        .collect::<Vec<_>>();
    assert_eq!(scopes, ["/token?scope=repository:p:pull,push&service=r"]);
    assert!(third.has_seen(&secret()) && !ours.has_seen(&secret()), "{:?}", ours.asked.lock().unwrap());
}

/// `docker-credential-test`, which knows a login for one host, and notes for which it was asked.
struct Helper {
    laptop: Laptop,
}

impl Helper {
    fn new(host: &str) -> Self {
        let laptop = Laptop::new();
        // The protocol of Docker's helpers: a verb, and the host on standard input.
        let script = format!(
            "#!/bin/sh\nhost=$(cat)\necho \"$1 $host\" >>\"${{0%/*}}/asked\"\nif [ \"$host\" = {host} ]; then\n\
             echo '{{\"ServerURL\":\"{host}\",\"Username\":\"somebody\",\"Secret\":\"secret\"}}'\nelse\n\
             echo 'credentials not found in native keychain'\nexit 1\nfi\n"
        );
        let file = laptop.write("docker-credential-test", &script);
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
        Self { laptop }
    }

    /// What `check` says, if this is in Docker's file.
    async fn check(&self, host: &str, config: &str) -> (bool, String) {
        self.laptop.write("config.json", config);
        let path = format!("{}:{}", self.laptop.root().display(), std::env::var("PATH").unwrap());
        check(&self.laptop, host, |command| {
            command.env("PATH", path);
        })
        .await
    }

    /// For whom it was asked since this was called last.
    fn asked(&self) -> Vec<String> {
        let file = self.laptop.root().join("asked");
        let mut asked: Vec<String> = fs::read_to_string(&file).unwrap_or_default().lines().map(Into::into).collect();
        let _ = fs::remove_file(file);
        asked.dedup();
        asked
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_helper_gives_the_login_of_one_host() {
    let third = registry(|own| format!("http://{own}/token")).await;
    let ours = registry(|own| format!("http://{own}/token")).await;
    let stranger = registry(|own| format!("http://{own}/token")).await;
    let helper = Helper::new(&ours.host);
    let for_ours = format!(r#"{{"credHelpers":{{"{}":"test"}}}}"#, ours.host);
    let for_all = r#"{"credsStore":"test"}"#;

    for config in [&*for_ours, for_all] {
        let (fine, said) = helper.check(&ours.host, config).await;
        assert!(fine && ours.has_seen(&secret()), "{said}");
        assert_eq!(helper.asked(), [format!("get {}", ours.host)]);
    }
    for (config, asked) in [(&*for_ours, vec![]), (for_all, vec![format!("get {}", stranger.host)])] {
        let (fine, said) = helper.check(&stranger.host, config).await;
        assert!(!fine && said.contains(&format!("docker login {}", stranger.host)), "{said}");
        assert_eq!(helper.asked(), asked);
    }
    assert!(!stranger.has_seen(&secret()), "{:?}", stranger.asked.lock().unwrap());

    // What a helper gives is for the same hosts as what was typed.
    let at_third = format!("http://{}/token", third.host);
    let greedy = registry(move |_| at_third.clone()).await;
    let (fine, said) = Helper::new(&greedy.host).check(&greedy.host, for_all).await;
    assert!(!fine && said.contains("to be sent to") && third.was_asked() == 0, "{said}");

    let missing = r#"{"credsStore":"gristmill-no-such-helper"}"#;
    let (fine, said) = helper.check(&ours.host, missing).await;
    assert!(!fine && said.contains("could not be run: is it on the PATH?"), "{said}");
}
