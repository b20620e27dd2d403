//! `keys`: the service's own keys, and the end of its log.

use clap::Subcommand;
use goodstanding_verify::{
    entry::{Body, Entry, KeyUse},
    successor::{EndReason, Notice, Successor},
};
use serde_json::{Value, json};

use super::{
    Ctx,
    output::{self, Usage, say, utc},
    remote::{Remote, Service},
    with_app,
};
use crate::{
    app::Open,
    clock::Clock,
    code::{Code, Fault},
    keys::change::{ANNOUNCE_S, Change, From},
    token::{keys, successor},
};

#[derive(Debug, Subcommand)]
pub(super) enum Args {
    /// Every key that the log names, and which one signs
    List(List),
    /// Announce a new key, which takes over when every trust bundle in use lists it
    Rotate(Rotate),
    /// Let a key end; what it signed stays valid
    Retire(Retire),
    /// Declare everything that a key ever signed void; a new key takes its place at once
    Revoke(Revoke),
    /// End the log, whose key never rotates, and name its successor
    EndLog(EndLog),
}

#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Ask the service at this URL instead of the data directory
    #[arg(long)]
    url: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Rotate {
    /// token, status, bundle or casework
    #[arg(value_name = "USE", value_parser = usage)]
    usage: Rotating,
    /// When the new key takes over, Unix seconds [default: in 7 days]
    #[arg(long, value_name = "T", conflicts_with = "now")]
    from: Option<u64>,
    /// At once: relying parties whose bundle does not list the new key yet refuse it until they update
    #[arg(long)]
    now: bool,
    /// Do not ask before a key takes over sooner than every trust bundle in use lists it
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(super) struct Retire {
    /// token, status, bundle or casework
    #[arg(value_name = "USE", value_parser = usage)]
    usage: Rotating,
    /// The key's thumbprint, from `keys list`
    #[arg(allow_hyphen_values = true)]
    kid: String,
    /// When, Unix seconds [default: now]
    #[arg(long, value_name = "T")]
    from: Option<u64>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(super) struct Revoke {
    /// token, status, bundle or casework
    #[arg(value_name = "USE", value_parser = usage)]
    usage: Rotating,
    /// The key's thumbprint, from `keys list`
    #[arg(allow_hyphen_values = true)]
    kid: String,
    /// Why; goes into the service's own log
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, clap::Args)]
pub(super) struct EndLog {
    /// compromised, lost or retired
    #[arg(long, value_name = "R", value_parser = end_reason)]
    reason: EndReason,
    /// Origin of the log that goes on
    #[arg(long, value_name = "NAME", requires = "successor_key")]
    successor_origin: Option<String>,
    /// Its verifier key
    #[arg(long, value_name = "VKEY", requires = "successor_origin")]
    successor_key: Option<String>,
    /// URL of its service
    #[arg(long, value_name = "URL", requires = "successor_origin")]
    successor_url: Option<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// A use on the command line; the log's is understood, to be refused with the reason why.
#[derive(Clone, Copy, Debug)]
enum Rotating {
    Key(KeyUse),
    Log,
}

fn usage(text: &str) -> Result<Rotating, String> {
    match (text, KeyUse::parse(text)) {
        ("log", _) => Ok(Rotating::Log),
        (_, Some(usage)) => Ok(Rotating::Key(usage)),
        _ => Err("one of token, status, bundle, casework".to_owned()),
    }
}

fn end_reason(text: &str) -> Result<EndReason, String> {
    EndReason::parse(text).ok_or_else(|| "one of compromised, lost, retired".to_owned())
}

impl Rotating {
    fn usage(self) -> Result<KeyUse, Fault> {
        match self {
            Self::Key(usage) => Ok(usage),
            Self::Log => Err(Fault::new(
                Code::KeyLogFixed,
                "who trusts a log trusts one key; another key is another log",
            )),
        }
    }
}

pub(super) async fn run(ctx: &Ctx, args: Args) -> anyhow::Result<()> {
    match args {
        Args::List(args) => list(ctx, &args).await,
        Args::Rotate(args) => {
            // Whoever does it says when "now" is: the question below waits for an answer, and a service has its own clock.
            let from = match (args.now, args.from) {
                (true, _) => From::Now,
                (false, Some(from)) => From::At(from),
                (false, None) => From::Announced,
            };
            let usage = args.usage.usage()?;
            if !args.yes
                && is_early(from)
                && let Some(question) = breaks(usage)
                && !output::confirmed(&question)?
            {
                return Err(Usage("the keys stay as they are".to_owned()).into());
            }
            let begin = match from {
                From::Now => json!("now"),
                From::At(from) => json!(from),
                From::Announced => Value::Null,
            };
            let body = json!({"use": usage, "action": "rotate", "from": begin});
            let change = Change::Rotate { usage, from };
            let changed = apply(ctx, &args.remote, body, change, None).await?;
            show(ctx, &changed)?;
            if from != From::Announced && usage == KeyUse::Bundle && !ctx.json {
                eprintln!(
                    "Bundles held from before do not list the new key yet unless it was announced: see docs/OPERATIONS.md."
                );
            }
            Ok(())
        }
        Args::Retire(args) => {
            let usage = args.usage.usage()?;
            let body =
                json!({"use": usage, "action": "retire", "kid": args.kid, "from": args.from});
            let change = Change::Retire {
                usage,
                kid: args.kid,
                from: args.from,
            };
            let changed = apply(ctx, &args.remote, body, change, None).await?;
            show(ctx, &changed)
        }
        Args::Revoke(args) => {
            let usage = args.usage.usage()?;
            let body =
                json!({"use": usage, "action": "revoke", "kid": args.kid, "reason": args.reason});
            let change = Change::Revoke {
                usage,
                kid: args.kid,
            };
            let changed = apply(ctx, &args.remote, body, change, args.reason).await?;
            show(ctx, &changed)?;
            if usage == KeyUse::Bundle && !ctx.json {
                eprintln!(
                    "Who holds a bundle that lists only this key has to fetch a new one from a place it trusts, with --pin."
                );
            }
            Ok(())
        }
        Args::EndLog(args) => end_log(ctx, args).await,
    }
}

/// Whether a key takes over before every trust bundle in use lists it.
fn is_early(from: From) -> bool {
    match from {
        From::Announced => false,
        From::Now => true,
        From::At(from) => from < Clock::System.now_s().saturating_add(ANNOUNCE_S),
    }
}

/// What breaks where a key takes over before every trust bundle in use lists it. Nobody verifies by the casework key yet.
fn breaks(usage: KeyUse) -> Option<String> {
    let what = match usage {
        KeyUse::Token => {
            "Offline verifiers refuse tokens by the new key (`token.key_unknown`) until they update their trust bundle."
        }
        KeyUse::Status => {
            "Offline verifiers refuse status lists by the new key (`status.signature_invalid`) until they update their trust bundle."
        }
        KeyUse::Bundle => {
            "Relying parties cannot update to a bundle by the new key (`bundle.key_unknown`): each has to fetch one anew and pin it."
        }
        KeyUse::Casework => return None,
    };
    Some(format!(
        "{what} Without --now the new key is announced seven days ahead, and nobody notices. Let it take over all the same?"
    ))
}

/// Does it on the service, or in the data directory, which may have lost the key in question.
async fn apply(
    ctx: &Ctx,
    remote: &Remote,
    mut body: Value,
    change: Change,
    reason: Option<String>,
) -> anyhow::Result<Value> {
    if let Some(service) = remote.service()? {
        if let Some(members) = body.as_object_mut() {
            members.retain(|_, value| !value.is_null());
        }
        return service.post("/v1/keys", &body).await;
    }
    let open = Open {
        repair: true,
        ..ctx.open()
    };
    with_app(open, async |app| {
        let changed = keys::change(app, change, reason).await?;
        Ok(serde_json::to_value(changed)?)
    })
    .await
}

fn show(ctx: &Ctx, changed: &Value) -> anyhow::Result<()> {
    if ctx.json {
        return output::json(changed);
    }
    let none = Vec::new();
    let events = changed["events"].as_array().unwrap_or(&none);
    for event in events {
        say!(
            "{} {} key {} from {}, logged as entry {}",
            text(event, "action"),
            text(event, "use"),
            text(event, "kid"),
            utc(event["from"].as_u64().unwrap_or_default()),
            event["leaf_index"]
        );
    }
    if events.is_empty() {
        say!("nothing to do: a new key is announced already (--now or --from start another one)");
    }
    table(&changed["keys"])
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn table(keys: &Value) -> anyhow::Result<()> {
    for key in keys.as_array().into_iter().flatten() {
        let end = match (key["revoked"].as_u64(), key["to"].as_u64()) {
            (Some(at), _) => format!(", revoked {}", utc(at)),
            (None, Some(to)) => format!(" to {}", utc(to)),
            (None, None) => String::new(),
        };
        say!(
            "{:8} {} {:9} from {}{end}",
            text(key, "use"),
            text(key, "kid"),
            text(key, "state"),
            utc(key["from"].as_u64().unwrap_or_default())
        );
    }
    Ok(())
}

async fn list(ctx: &Ctx, args: &List) -> anyhow::Result<()> {
    let listed = match &args.url {
        Some(url) => Service::at(url, None)?.get("/v1/keys").await?,
        None => ctx.with_store(async |store| stored(store).await).await?,
    };
    if ctx.json {
        return output::json(&listed);
    }
    table(&listed["items"])?;
    say!("log      {} (never rotates)", text(&listed, "log"));
    Ok(())
}

/// What a data directory says, also while a service works on it.
async fn stored(store: &dyn crate::store::Store) -> anyhow::Result<Value> {
    let mut events = Vec::new();
    for (index, bytes) in store.events("key", 1 << 53).await? {
        if let Body::Key(event) = Entry::parse(&bytes)?.body {
            events.push((index, event));
        }
    }
    let published = store.published().await?.map_or(0, |p| p.size);
    Ok(json!({
        "items": keys::list(&events, published, Clock::System.now_s())?,
        "next_cursor": null,
        "log": store.meta(crate::log::sign::LOG_VKEY).await?,
    }))
}

async fn end_log(ctx: &Ctx, args: EndLog) -> anyhow::Result<()> {
    let successor = match (args.successor_origin, args.successor_key) {
        (Some(origin), Some(key)) => {
            let successor = Successor::new(origin, key, args.successor_url);
            Some(successor.map_err(|e| Usage(e.detail().to_owned()))?)
        }
        _ => None,
    };
    let question = "End this log for good? It will never take another entry";
    if !args.yes && !output::confirmed(question)? {
        return Err(Usage("the log goes on".to_owned()).into());
    }
    let open = Open {
        repair: true,
        ..ctx.open()
    };
    let (notice, vkey): (String, String) = with_app(open, async |app| {
        let notice = successor::end(app, args.reason, successor).await?;
        Ok((notice, app.signer.vkey()))
    })
    .await?;
    let said: Value = goodstanding_verify::jws::Compact::parse(&notice)?.payload_json()?;
    if ctx.json {
        return output::json(&json!({"notice": notice, "ended": said}));
    }
    say!("{notice}");
    eprintln!(
        "{vkey} has ended at {}. Keep serving it: `serve` answers what was published, and GET /v1/log/successor gives this notice.",
        output::count_of(&said["size"], "entry")
    );
    Ok(())
}

/// One line about a log that has ended, for those who follow it.
pub(super) fn ended_line(notice: &Notice) -> String {
    let ended = format!(
        "the log {} has ended ({}) at {}",
        notice.origin,
        notice.reason.as_str(),
        output::count(notice.size, "entry")
    );
    match &notice.successor {
        None => format!("{ended} and names no successor"),
        Some(next) => {
            let at = next
                .url
                .as_ref()
                .map_or(String::new(), |url| format!(" at {url}"));
            format!(
                "{ended}; {}{at} goes on, with the key {}",
                next.origin, next.vkey
            )
        }
    }
}
