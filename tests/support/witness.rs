//! A witness under our control: honest as C2SP tlog-witness says, or misbehaving on demand.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use goodstanding::keys::SecretKey;
use goodstanding_verify::{
    b64,
    checkpoint::SignedCheckpoint,
    merkle::{EMPTY_ROOT, Hash, verify_consistency},
    note::{KeyKind, VerifierKey, cosignature_message},
    witness::AddCheckpoint,
};

/// What the witness does when it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As the standard says.
    Honest,
    /// Honest, after this long.
    Slow(Duration),
    /// Signs something else under its own key.
    SignsAnotherTree,
    /// Signs with another key under its own name and key id.
    SignsWithAnotherKey,
    /// Names a time this many seconds off.
    TimeOff(i64),
    /// Adds lines that nobody knows.
    ExtraLines,
    /// Answers with this status and body.
    Answers(u16, String),
    /// Answers 409 with this body.
    Conflict(String),
    /// Never answers.
    Hangs,
}

struct Inner {
    mode: Mode,
    /// Size and root that it cosigned last.
    seen: (u64, Hash),
    asked: u64,
    now_s: u64,
}

/// A running witness double.
pub struct Witness {
    pub name: String,
    pub url: String,
    key: SecretKey,
    inner: Arc<Mutex<Inner>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
struct Shared(Arc<Mutex<Inner>>, String, SecretKey, VerifierKey);

impl Witness {
    /// A witness for the log with this key; `now_s` is what it calls now.
    pub async fn start(name: &str, log: &VerifierKey, now_s: u64) -> Self {
        let key = SecretKey::of_alias("witness", name);
        let inner = Arc::new(Mutex::new(Inner {
            mode: Mode::Honest,
            seen: (0, EMPTY_ROOT),
            asked: 0,
            now_s,
        }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/w", listener.local_addr().unwrap());
        let full = format!("witness.example/{name}");
        let app = Router::new()
            .route("/w/add-checkpoint", post(add))
            .with_state(Shared(
                inner.clone(),
                full.clone(),
                key.clone(),
                log.clone(),
            ));
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            name: full,
            url,
            key,
            inner,
            task,
        }
    }

    pub fn vkey(&self) -> VerifierKey {
        VerifierKey::new(
            &self.name,
            KeyKind::CosignatureV1,
            self.key.public().as_bytes(),
        )
        .unwrap()
    }

    /// Its line of a witness policy.
    pub fn policy_line(&self, short: &str) -> String {
        format!("witness {short} {} {}\n", self.vkey(), self.url)
    }

    pub fn set(&self, mode: Mode) {
        self.inner.lock().unwrap().mode = mode;
    }

    /// The state is lost, or restored from elsewhere.
    pub fn remember(&self, size: u64, root: Hash) {
        self.inner.lock().unwrap().seen = (size, root);
    }

    pub fn seen(&self) -> u64 {
        self.inner.lock().unwrap().seen.0
    }

    pub fn asked(&self) -> u64 {
        self.inner.lock().unwrap().asked
    }
}

fn line(name: &str, id_of: &VerifierKey, key: &SecretKey, time: u64, text: &str) -> String {
    let mut blob = id_of.key_id().to_vec();
    blob.extend(time.to_be_bytes());
    blob.extend(key.sign(cosignature_message(time, text).as_bytes()));
    format!("\u{2014} {name} {}\n", b64::std_encode(blob))
}

async fn add(State(Shared(inner, name, key, log)): State<Shared>, body: String) -> Response {
    let (mode, seen, now_s) = {
        let mut inner = inner.lock().unwrap();
        inner.asked += 1;
        (inner.mode.clone(), inner.seen, inner.now_s)
    };
    match &mode {
        Mode::Slow(wait) => tokio::time::sleep(*wait).await,
        Mode::Hangs => std::future::pending().await,
        Mode::Answers(status, text) => {
            return (StatusCode::from_u16(*status).unwrap(), text.clone()).into_response();
        }
        Mode::Conflict(text) => return conflict(text.clone()),
        _ => {}
    }
    let Ok(request) = AddCheckpoint::parse(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let signed = SignedCheckpoint::parse(&request.checkpoint).unwrap();
    let Ok(checkpoint) = signed.verify_log(&log) else {
        return StatusCode::FORBIDDEN.into_response();
    };
    let (size, root) = (checkpoint.size, checkpoint.root);
    if request.old > size {
        return StatusCode::BAD_REQUEST.into_response();
    }
    if request.old != seen.0 {
        return conflict(format!("{}\n", seen.0));
    }
    if verify_consistency(seen.0, size, &seen.1, &root, &request.proof).is_err() {
        return StatusCode::UNPROCESSABLE_ENTITY.into_response();
    }
    inner.lock().unwrap().seen = (size, root);
    let own = VerifierKey::new(&name, KeyKind::CosignatureV1, key.public().as_bytes()).unwrap();
    let text = &signed.note().text;
    match mode {
        Mode::SignsAnotherTree => line(&name, &own, &key, now_s, &text.replace('\n', "1\n")),
        Mode::SignsWithAnotherKey => line(
            &name,
            &own,
            &SecretKey::of_alias("witness", "mallory"),
            now_s,
            text,
        ),
        Mode::TimeOff(by) => line(&name, &own, &key, now_s.saturating_add_signed(by), text),
        Mode::ExtraLines => {
            let other = SecretKey::of_alias("witness", "other");
            let other_key =
                VerifierKey::new("other", KeyKind::CosignatureV1, other.public().as_bytes())
                    .unwrap();
            // A signature of a kind that is not known yet, and one of a key that is not ours.
            format!("\u{2014} other {}\n", b64::std_encode([9; 2500]))
                + &line("other", &other_key, &other, now_s, text)
                + &line(&name, &own, &key, now_s, text)
        }
        _ => line(&name, &own, &key, now_s, text),
    }
    .into_response()
}

fn conflict(text: String) -> Response {
    (
        StatusCode::CONFLICT,
        [(header::CONTENT_TYPE, "text/x.tlog.size")],
        text,
    )
        .into_response()
}
