//! Whatever a witness answers, the client comes back in time, with a cosignature that verifies or with a reason.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use goodstanding::{keys::SecretKey, log::witness::ask::Witness};
use goodstanding_verify::{
    checkpoint::SignedCheckpoint,
    note::{KeyKind, VerifierKey},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::{
    cases::cosignature_line,
    support::{Service, T0},
};

const NAME: &str = "witness.example/wire";

/// What is written to the socket once a request has been read.
#[derive(Clone)]
enum Answer {
    /// These bytes, and the connection closes.
    Bytes(Vec<u8>),
    /// These bytes, and then the others again and again.
    Endless(Vec<u8>, Vec<u8>),
    /// These bytes, and then one more every now and then.
    Dribble(Vec<u8>),
}

fn response(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn answered(status: &str, body: impl AsRef<[u8]>) -> Answer {
    Answer::Bytes(response(status, "", body))
}

/// A witness that answers every request like this; its submission prefix, and how often it was asked.
async fn answering(answer: Answer) -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/w", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicU64::new(0));
    let count = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut request = vec![0; 65_536];
                let _ = socket.read(&mut request).await;
                // The client may hang up at any time; it is what it is.
                match answer {
                    Answer::Bytes(bytes) => {
                        let _ = socket.write_all(&bytes).await;
                        let _ = socket.shutdown().await;
                    }
                    Answer::Endless(head, again) => {
                        let _ = socket.write_all(&head).await;
                        while socket.write_all(&again).await.is_ok() {}
                    }
                    Answer::Dribble(head) => {
                        let _ = socket.write_all(&head).await;
                        while socket.write_all(b"x").await.is_ok() {
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                    }
                }
            });
        }
    });
    (url, asked)
}

fn witness_key() -> SecretKey {
    SecretKey::of_alias("tests", "wire")
}

fn vkey() -> VerifierKey {
    let key = witness_key();
    VerifierKey::new(NAME, KeyKind::CosignatureV1, key.public().as_bytes()).unwrap()
}

/// Asks a witness that was never asked before, and names what came of it.
async fn asked(service: &Service, signed: &SignedCheckpoint, url: &str) -> String {
    let witness = Witness::new("w", &vkey(), url).unwrap();
    let timeout = Duration::from_secs(5);
    let answer = witness.ask(&service.app.tiles, signed, timeout, T0).await;
    match answer.outcome {
        Ok((_, time)) => format!("ok {time}"),
        Err(refused) => refused.kind.to_owned(),
    }
}

async fn published() -> (Service, SignedCheckpoint) {
    let service = Service::start(T0).await;
    service.app.log.publish().await.unwrap();
    let note = service.get("/checkpoint").await.text().await.unwrap();
    (service, SignedCheckpoint::parse(&note).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_broken_answer_is_a_reason_and_none_is_a_cosignature() {
    let (service, signed) = published().await;
    let note = signed.to_string();
    let good = cosignature_line(&witness_key(), NAME, &note, T0);
    let unending = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n".to_vec();
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let mut table: Vec<(&str, Answer, &str)> = vec![
        ("hangs up", Answer::Bytes(vec![]), "unreachable"),
        (
            "no HTTP",
            Answer::Bytes(b"220 smtp ready\r\n\r\n".to_vec()),
            "unreachable",
        ),
        (
            "half a head",
            Answer::Bytes(b"HTTP/1.1 200 OK\r\nContent-".to_vec()),
            "unreachable",
        ),
        (
            "half a body",
            Answer::Bytes([&unending[..], good.as_bytes()].concat()),
            "unreachable",
        ),
        (
            "headers without end",
            Answer::Endless(b"HTTP/1.1 200 OK\r\n".to_vec(), b"X: y\r\n".repeat(999)),
            "unreachable",
        ),
        (
            "a header that dribbles",
            Answer::Dribble(b"HTTP/1.1 200 OK\r\nX: ".to_vec()),
            "timeout",
        ),
        (
            "a body that dribbles",
            Answer::Dribble(unending.clone()),
            "timeout",
        ),
        (
            "a body without end",
            Answer::Endless(unending, vec![b'x'; 4096]),
            "malformed",
        ),
        (
            "chunks without end",
            Answer::Endless(chunked, b"4\r\nabcd\r\n".repeat(999)),
            "malformed",
        ),
        (
            "not text",
            answered("200 OK", [0xff, 0xfe, 10]),
            "malformed",
        ),
        ("nothing", answered("200 OK", ""), "malformed"),
        ("a line break", answered("200 OK", "\n"), "malformed"),
        (
            "no newline",
            answered("200 OK", good.trim_end()),
            "malformed",
        ),
        (
            "a blank line in front",
            answered("200 OK", format!("\n{good}")),
            "malformed",
        ),
        (
            "a note in a note",
            answered("200 OK", format!("text\n\n{good}")),
            "malformed",
        ),
        (
            "lines of others only",
            answered(
                "200 OK",
                cosignature_line(&witness_key(), "other.example", &note, T0),
            ),
            "malformed",
        ),
        ("nothing changed", answered("204 No Content", ""), "status"),
        (
            "compressed",
            Answer::Bytes(response(
                "200 OK",
                "Content-Encoding: gzip\r\n",
                [0x1f, 0x8b, 8, 0],
            )),
            "malformed",
        ),
    ];
    for status in [
        "400 Bad",
        "403 No",
        "404 Unknown",
        "410 Gone",
        "422 No",
        "429 Slow",
        "500 Oh",
        "503 Later",
    ] {
        // Even with a good line in it.
        table.push((status, answered(status, &good), "status"));
    }
    for size in [
        "",
        "\n",
        "abc\n",
        "-1\n",
        "+5\n",
        "007\n",
        "5",
        "5\n5\n",
        " 5\n",
        "5\r\n",
        "18446744073709551616\n",
    ] {
        table.push((size, answered("409 Conflict", size), "malformed"));
    }
    for size in ["1000000\n", "18446744073709551615\n"] {
        table.push((size, answered("409 Conflict", size), "ahead"));
    }
    for size in ["0\n", "1\n"] {
        table.push((size, answered("409 Conflict", size), "conflict"));
    }
    let (signed, service) = (Arc::new(signed), Arc::new(service));
    // All at once: some of them take their whole time.
    let asking = table.into_iter().map(|(what, answer, expected)| {
        let (signed, service) = (signed.clone(), service.clone());
        async move {
            let (url, _) = answering(answer).await;
            assert_eq!(asked(&service, &signed, &url).await, expected, "{what:?}");
        }
    });
    futures_util::future::join_all(asking).await;
    // Nobody there.
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    assert_eq!(asked(&service, &signed, &url).await, "unreachable");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (service, signed) = published().await;
    let good = cosignature_line(&witness_key(), NAME, &signed.to_string(), T0);
    let (elsewhere, there) = answering(answered("200 OK", good)).await;
    for status in ["301 Moved", "307 Temporary", "308 Permanent"] {
        let location = format!("Location: {elsewhere}/add-checkpoint\r\n");
        let (url, here) = answering(Answer::Bytes(response(status, &location, ""))).await;
        assert_eq!(asked(&service, &signed, &url).await, "status", "{status}");
        assert_eq!(here.load(Ordering::SeqCst), 1);
    }
    assert_eq!(there.load(Ordering::SeqCst), 0);
    assert_eq!(
        asked(&service, &signed, &elsewhere).await,
        format!("ok {T0}")
    );
    service.stop().await;
}

#[tokio::test]
async fn only_the_witness_s_own_signature_over_this_very_checkpoint_counts() {
    let (service, signed) = published().await;
    let note = signed.to_string();
    let line = |key: &SecretKey, note: &str, time| cosignature_line(key, NAME, note, time);
    let good = line(&witness_key(), &note, T0);
    let mallory = SecretKey::of_alias("tests", "mallory");
    // Mallory's signature under the witness's key id.
    let forged = line(&mallory, &note, T0);
    let (ours, theirs) = (
        vkey(),
        VerifierKey::new(NAME, KeyKind::CosignatureV1, mallory.public().as_bytes()).unwrap(),
    );
    let forged = {
        let blob = forged.trim_end().rsplit(' ').next().unwrap();
        let mut blob = goodstanding_verify::b64::std_decode(blob).unwrap();
        assert_eq!(blob[..4], theirs.key_id());
        blob[..4].copy_from_slice(&ours.key_id());
        format!(
            "\u{2014} {NAME} {}\n",
            goodstanding_verify::b64::std_encode(blob)
        )
    };
    let text = note.replacen('\n', "x\n", 1);
    let strangers: String = (0..50)
        .map(|n| cosignature_line(&mallory, &format!("stranger.example/{n}"), &note, T0))
        .collect();
    let table = [
        ("its own", good.clone(), format!("ok {T0}")),
        (
            "among fifty strangers",
            format!("{strangers}{good}"),
            format!("ok {T0}"),
        ),
        (
            "over another text",
            line(&witness_key(), &text, T0),
            "lying".into(),
        ),
        ("by another key", forged.clone(), "lying".into()),
        (
            "a forged one before its own",
            format!("{forged}{good}"),
            "lying".into(),
        ),
        (
            "by another key id",
            line(&mallory, &note, T0),
            "malformed".into(),
        ),
        (
            "a bit in the past",
            line(&witness_key(), &note, T0 - 299),
            format!("ok {}", T0 - 299),
        ),
        (
            "in the past",
            line(&witness_key(), &note, T0 - 301),
            "lying".into(),
        ),
        (
            "in the future",
            line(&witness_key(), &note, T0 + 301),
            "lying".into(),
        ),
        (
            "at the end of time",
            line(&witness_key(), &note, i64::MAX as u64),
            "lying".into(),
        ),
        ("at no time", line(&witness_key(), &note, 0), "lying".into()),
    ];
    for (what, body, expected) in table {
        let (url, _) = answering(answered("200 OK", body)).await;
        assert_eq!(asked(&service, &signed, &url).await, expected, "{what}");
    }
    service.stop().await;
}
