//! Bearer tokens for operators: JWTs that the service signs for itself.

use goodstanding_verify::b64;
use serde::{Deserialize, Serialize};

use super::access_book::{AccessBook, Grant};
use crate::{
    app::App,
    code::{Code, Fault},
    keys::{SecretKey, jwt},
};

const TYP: &str = "access+jwt";

/// What a bearer token allows.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Runs epochs, erases reports, changes keys.
    Operator,
    /// Reads flags and exports.
    Analyst,
    /// Reads everything an audit needs.
    Auditor,
}

impl Role {
    /// The wire name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Analyst => "analyst",
            Self::Auditor => "auditor",
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    iat: u64,
    exp: u64,
    jti: String,
    roles: Vec<Role>,
}

/// Who grants access: an open data directory, or one that a service works on.
#[derive(Clone, Copy, Debug)]
pub struct Granter<'a> {
    /// Where it is put on record.
    pub book: &'a AccessBook,
    /// Signs it.
    pub key: &'a SecretKey,
    /// Who accepts it.
    pub issuer: &'a str,
}

/// A bearer token for `subject`, good for `life_s` seconds unless it is revoked.
///
/// # Errors
/// When the operating system gives no randomness, or the record cannot be written.
pub fn grant(app: &App, subject: &str, roles: &[Role], life_s: u64) -> Result<String, Fault> {
    let granter = Granter {
        book: &app.access,
        key: &app.access_key,
        issuer: &app.issuer,
    };
    granter
        .grant(subject, roles, app.clock.now_s(), life_s)
        .map(|(token, _)| token)
}

impl Granter<'_> {
    /// A bearer token granted at `now` (Unix seconds), and what is on record of it. It is on record before anybody has it.
    ///
    /// # Errors
    /// When the operating system gives no randomness, or the record cannot be written.
    pub fn grant(
        &self,
        subject: &str,
        roles: &[Role],
        now: u64,
        life_s: u64,
    ) -> Result<(String, Grant), Fault> {
        let internal = |e: String| Fault::new(Code::Internal, e);
        let mut jti = [0; 16];
        getrandom::fill(&mut jti).map_err(|e| internal(e.to_string()))?;
        let granted = Grant {
            jti: b64::url_encode(jti),
            name: subject.to_owned(),
            roles: roles.to_vec(),
            iat: now,
            exp: now.saturating_add(life_s),
            revoked: None,
        };
        let claims = Claims {
            iss: self.issuer.to_owned(),
            aud: self.issuer.to_owned(),
            sub: subject.to_owned(),
            iat: granted.iat,
            exp: granted.exp,
            jti: granted.jti.clone(),
            roles: roles.to_vec(),
        };
        let token = self
            .key
            .sign_service(TYP, &claims)
            .map_err(|e| internal(e.to_string()))?;
        self.book.add(granted.clone())?;
        Ok((token, granted))
    }
}

/// Checks the `Authorization` header's value and that it has the role.
///
/// # Errors
/// `auth.missing`, `auth.invalid`, `auth.forbidden`.
pub fn require(app: &App, authorization: Option<&str>, role: Role) -> Result<(), Fault> {
    let bearer = authorization
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(|| Fault::new(Code::AuthMissing, "this needs `Authorization: Bearer …`"))?;
    let public = app.access_key.public();
    let refused = || Fault::new(Code::AuthInvalid, "the bearer token was not accepted");
    let claims: Claims =
        jwt::read_own(bearer, &public, TYP, &app.issuer, &app.issuer).map_err(|_| refused())?;
    if claims.exp <= app.clock.now_s() || !app.access.is_good(&claims.jti)? {
        return Err(refused());
    }
    if claims.roles.contains(&role) {
        Ok(())
    } else {
        Err(Fault::new(
            Code::AuthForbidden,
            format!("the role {} is needed", role.as_str()),
        ))
    }
}
