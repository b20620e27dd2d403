//! The demo's tokens: one that a marketplace accepts, and three that it refuses.

use std::collections::BTreeMap;

use goodstanding_verify::{
    b64,
    bundle::TrustBundle,
    jws::Compact,
    sdjwt::{self, Revealed, SdJwt},
    token::{self, HolderCheck, Requirements, Verdict},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::story::{CHEAT, Files, Shown, Story, key_of, tell};
use crate::{
    cli::{
        input,
        output::{percent, say},
        token::{DEFAULT_DISCLOSED, bind},
    },
    code::{Code, Fault},
    ingest::import::Agents,
};

/// Who verifies.
pub(super) const MARKETPLACE: &str = "https://bazaar.example";
/// What the marketplace asks for.
pub(super) const MIN_LOWER_BP: u16 = 5000;

impl Story<'_> {
    /// An honest agent and a cheat go to a marketplace.
    pub(super) async fn tokens(
        &self,
        agents: &Agents,
        hero: &Shown,
        files: &Files,
    ) -> anyhow::Result<(Verdict, BTreeMap<&'static str, &'static str>)> {
        let now = self.app.clock.now_s();
        let key = key_of(agents, hero.name)?;
        let token = token_of(&self.client.request_token(key, now).await?)?;
        let bundle_jws = self.client.get("/v1/trust-bundle").await?;
        input::write(&files.bundle, &bundle_jws)?;
        input::write(&files.token, &token)?;
        tell!(self, "6. A token");
        tell!(
            self,
            "   {} proves that it holds its key and gets a token of {} bytes: its score, signed, with the",
            hero.name,
            token.len()
        );
        tell!(
            self,
            "   proof that this score is in epoch 1 and epoch 1 in the log.\n"
        );
        let bundle = TrustBundle::parse(&bundle_jws, None, now)?;
        let status = self.status_list(&token).await?;
        let nonce = fresh_nonce()?;
        let shown = bind(
            &sdjwt::select(&token, &DEFAULT_DISCLOSED)?,
            key,
            MARKETPLACE,
            &nonce,
            now,
        )?;
        let verify = |text: &str, min: Option<u16>| {
            let holder = HolderCheck::Required {
                aud: MARKETPLACE.to_owned(),
                nonce: nonce.clone(),
            };
            let requirements = Requirements {
                min_lower_bp: min,
                ..Requirements::new(holder)
            };
            token::verify(text, &bundle, &requirements, Some(&status), now)
        };
        let verdict = verify(&shown, Some(MIN_LOWER_BP))?;
        tell!(self, "7. Verification, offline");
        tell!(
            self,
            "   The marketplace {MARKETPLACE} wants a lower bound of {} and names a nonce.",
            percent(MIN_LOWER_BP.into())
        );
        tell!(
            self,
            "   {} reveals {} of its {} claims and signs the nonce. With nothing but the trust",
            hero.name,
            verdict.claims.len(),
            SdJwt::parse(&token)?.disclosures.len()
        );
        tell!(
            self,
            "   bundle that it fetched before, the marketplace finds:"
        );
        tell!(self, "     valid; {}", json!(verdict.claims));
        tell!(
            self,
            "     holder: {}, status: {}, witnesses: {}\n",
            word(&verdict.holder),
            word(&verdict.status),
            verdict.witnessed
        );
        let mut refused = BTreeMap::new();
        let cheat = key_of(agents, CHEAT)?;
        let token = token_of(&self.client.request_token(cheat, now).await?)?;
        let honest = sdjwt::select(&token, &DEFAULT_DISCLOSED)?;
        let forged = improve(&honest)?;
        let other = sdjwt::select(
            &input::token(&files.token.to_string_lossy())?,
            &DEFAULT_DISCLOSED,
        )?;
        tell!(self, "8. Fraud");
        for (what, tried, text) in [
            ("low_score", "shows its true token", &honest),
            ("tampered", "writes lower_bp 9900 into it", &forged),
            ("stolen", "shows the token of the honest agent", &other),
        ] {
            let code = match verify(
                &bind(text, cheat, MARKETPLACE, &nonce, now)?,
                Some(MIN_LOWER_BP),
            ) {
                Err(error) => error.code().as_str(),
                Ok(_) => {
                    return Err(Fault::new(
                        Code::Internal,
                        format!("{CHEAT} {tried} and got through"),
                    )
                    .into());
                }
            };
            tell!(self, "   {CHEAT} {tried:<36} rejected [{code}]");
            refused.insert(what, code);
        }
        tell!(self, "");
        Ok((verdict, refused))
    }

    /// The status list that a token refers to.
    async fn status_list(&self, token: &str) -> anyhow::Result<String> {
        let payload = Compact::parse(SdJwt::parse(token)?.jwt)?.payload_json()?;
        let uri = payload
            .pointer("/status/status_list/uri")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let path = uri
            .strip_prefix(self.app.issuer.as_str())
            .unwrap_or_default();
        self.client.get(path).await
    }
}

fn fresh_nonce() -> Result<String, crate::keys::Error> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(crate::keys::Error::Random)?;
    Ok(b64::url_encode(nonce))
}

fn token_of(answer: &Value) -> Result<String, Fault> {
    let token = answer
        .get("token")
        .and_then(Value::as_str)
        .map(str::to_owned);
    token.ok_or_else(|| Fault::new(Code::ServerRefused, "the service sent no token"))
}

/// A word of the verdict as it is written on the wire.
fn word<T: Serialize>(value: &T) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|v| v.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// The presentation with a better lower bound written into its disclosure.
fn improve(presentation: &str) -> anyhow::Result<String> {
    let parts = SdJwt::parse(presentation)?;
    let mut disclosures = Vec::new();
    for disclosure in parts.disclosures {
        let Revealed { salt, name, .. } = Revealed::parse(disclosure)?;
        disclosures.push(match name.as_deref() {
            Some("lower_bp") => b64::url_encode(json!([salt, "lower_bp", 9900]).to_string()),
            _ => disclosure.to_owned(),
        });
    }
    Ok(sdjwt::issued(parts.jwt, &disclosures))
}
