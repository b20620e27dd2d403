//! Who may read reports, agents, statements and salts: everyone, or, with `visibility = "auditors"`, auditors, and each agent its own.
//!
//! The log itself (checkpoint, tiles, entries, receipts, epochs and keys) is public under either setting: a report is in
//! it as a hash.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, Request},
    http::{HeaderMap, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use goodstanding_verify::{did::Did, report::Report};

use super::{Api, problem::Failed, query::authorization, tokens::limit};
use crate::{
    code::{Code, Fault},
    config::Visibility,
    ingest::quota::client,
    store::ReportFilter,
    token::{
        access::{Role, require},
        possession,
    },
};

/// Authentication scheme of an agent that proves possession of its key: `Authorization: Proof <openid4vci-proof+jwt>`.
const PROOF: &str = "proof";

/// Whose answer it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asking {
    /// Someone who may read everything.
    Anything,
    /// An agent, which reads its own.
    Agent(Did),
}

impl Asking {
    /// Refuses an agent what is about many.
    pub(super) fn all(&self) -> Result<(), Fault> {
        match self {
            Self::Anything => Ok(()),
            Self::Agent(_) => Err(forbidden("this is for the role auditor alone")),
        }
    }

    /// Refuses an agent what is about others.
    pub(super) fn about(&self, agent: &Did) -> Result<(), Fault> {
        match self {
            Self::Agent(own) if own != agent => Err(forbidden("an agent reads its own")),
            _ => Ok(()),
        }
    }

    /// Refuses an agent the reports that it neither wrote nor is the subject of.
    pub(super) fn report(&self, jws: &str) -> Result<(), Fault> {
        match self {
            Self::Anything => Ok(()),
            Self::Agent(own) => {
                let report = Report::parse_admitted(jws)?;
                if [&report.iss, &report.sub].contains(&own) {
                    Ok(())
                } else {
                    Err(forbidden(
                        "an agent reads what it reported and what was reported on it",
                    ))
                }
            }
        }
    }

    /// Refuses an agent a list that may hold reports of others about others.
    pub(super) fn list(&self, filter: &ReportFilter) -> Result<(), Fault> {
        match self {
            Self::Agent(own) if ![filter.subject, filter.reporter].contains(&Some(*own)) => Err(
                forbidden("an agent reads its own: say subject= or reporter= with its DID"),
            ),
            _ => Ok(()),
        }
    }
}

fn forbidden(why: &str) -> Fault {
    Fault::new(Code::AuthForbidden, why)
}

/// Lets a request through to what the setting protects, with [`Asking`] among its extensions. Only reading is protected here.
pub(super) async fn guard(
    axum::extract::State(api): axum::extract::State<std::sync::Arc<Api>>,
    mut request: Request,
    next: Next,
) -> Response {
    if api.visibility == Visibility::Public
        || !matches!(*request.method(), Method::GET | Method::HEAD)
    {
        request.extensions_mut().insert(Asking::Anything);
        return next.run(request).await;
    }
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map(|ConnectInfo(peer)| *peer);
    match asking(&api, peer, request.headers()).await {
        Err(failed) => failed.into_response(),
        Ok(asking) => {
            request.extensions_mut().insert(asking);
            let mut response = next.run(request).await;
            // Nobody in between may give one reader's answer to another.
            let headers = response.headers_mut();
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
    }
}

async fn asking(
    api: &Api,
    peer: Option<SocketAddr>,
    headers: &HeaderMap,
) -> Result<Asking, Failed> {
    let value = authorization(headers);
    let proof = value
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(PROOF));
    let Some((_, proof)) = proof else {
        require(&api.app, value, Role::Auditor)?;
        return Ok(Asking::Anything);
    };
    if let Some(peer) = peer {
        limit(&api.token_quota, &client(peer.ip()))?;
    }
    let proven = possession::check(&api.app, proof.trim())?;
    // A nonce is used up only by an agent of this log: throwaway keys cannot exhaust the table.
    if !is_known(api, &proven.agent).await? {
        let detail = format!(
            "no report and no statement is by {} or about it",
            proven.agent
        );
        return Err(Fault::new(Code::AgentUnknown, detail).into());
    }
    let now = api.app.clock.now_s();
    api.app.nonces.take(&proven.nonce, now)?;
    Ok(Asking::Agent(proven.agent))
}

async fn is_known(api: &Api, agent: &Did) -> Result<bool, Fault> {
    let one = ReportFilter {
        limit: 1,
        ..ReportFilter::default()
    };
    let about = ReportFilter {
        subject: Some(*agent),
        ..one.clone()
    };
    let by = ReportFilter {
        reporter: Some(*agent),
        ..one
    };
    let store = &api.app.store;
    // Where every report was erased the statements stay, and are the agent's own.
    Ok(!store.reports(&about).await?.is_empty()
        || !store.reports(&by).await?.is_empty()
        || !store.statements_of(agent, 1 << 53, 1).await?.is_empty())
}
